// SPDX-License-Identifier: Apache-2.0
// Sums the gradients of an arena over the ranks while the backward pass that makes them goes on.
// The arena is cut into buckets; a bucket's sum is started when all its parameters have their final
// gradient, in an order that is the same on all ranks: a bucket waits for its predecessors.
//
//   arena.clear_gradients();
//   ... backward passes ...
//   reducer.begin_last_pass(kind);
//   ... the last backward pass of this rank, if it has one ...
//   reducer.finish(kind);
//
// Passes of one kind reach the same parameters in the same order. That is learnt from the first of
// each kind, in which everything is summed at the end. A parameter that is not reached although the
// first pass reached it holds its bucket up until finish(); one that is reached although the first
// pass did not is summed by itself, there.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/parameter_arena.h"
#include "parallel/bucket_plan.h"
#include "parallel/communicator.h"

namespace galette {

struct ReductionConfig {
  BucketPlan buckets;
  /// A rank gets the sums of its pieces alone (see BucketPlan); other gradients are then undefined.
  bool is_sharded = false;
  /// Otherwise everything is summed at the end, in one operation unless it is sharded.
  bool overlaps = true;
};

/// Seconds that communication held this rank up, and those that it went on behind computation.
struct ReductionTime {
  double exposed = 0;
  double hidden = 0;
};

class GradientReducer {
 public:
  /// The arena has its gradients enabled, and no other listener.
  GradientReducer(ParameterArena& arena, Communicator& comm, const ReductionConfig& config);
  GradientReducer(const GradientReducer&) = delete;
  GradientReducer& operator=(const GradientReducer&) = delete;
  ~GradientReducer();

  /// The next backward pass is this rank's last one before finish().
  void begin_last_pass(int kind);
  /// Sums what is left, and marks as reached what any rank reached. Collective.
  ReductionTime finish(int kind);
  /// How often finish() was called.
  int64_t steps() const { return steps_; }
  /// The first parameter whose gradient on this rank was not finite before the sum of the
  /// `step`-th finish(), or a later one; or -1. Waits for the device.
  int64_t first_non_finite(int64_t step) const;

 private:
  using Clock = std::chrono::steady_clock;
  /// What the first pass of a kind taught.
  struct Habit {
    std::vector<uint8_t> is_reached;  ///< per parameter, by this rank's last backward pass
    std::vector<int64_t> order;       ///< of starting units, rank 0's
  };

  int64_t units() const;
  FlatRange unit(int64_t index) const;
  /// First and last unit of a parameter.
  std::pair<int64_t, int64_t> units_of(const ArenaEntry& entry) const;
  void on_gradient(size_t parameter);
  void start_what_is_complete();
  void start(int64_t unit);
  std::vector<int64_t> last_unit_first() const;
  void reduce_rest(const std::vector<int64_t>& order);
  void look_for_bad_values(const FlatRange& range);
  void merge_reached();
  void add_late_gradient(size_t parameter);
  void learn(Habit& habit);

  ParameterArena& arena_;
  Communicator& comm_;
  ReductionConfig config_;
  std::map<int, Habit> habits_;
  int64_t steps_ = 0;     ///< that are finished
  at::Tensor borders_;    ///< int64 [parameters + 1]: of the parameters in the flat gradient
  at::Tensor bad_marks_;  ///< int64 [parameters]: the last step whose gradient was not finite

  // Of the step at hand.
  Habit* habit_ = nullptr;  ///< while its last pass runs, once learnt
  bool is_last_pass_ = false;
  std::vector<uint8_t> is_reached_;  ///< per parameter, in the last pass
  std::vector<int64_t> missing_;     ///< per unit: parameters without a final gradient
  std::vector<int64_t> completed_;   ///< per unit: when its last gradient came, or 0
  int64_t gradients_ = 0;            ///< that came in the last pass
  size_t started_ = 0;               ///< units, in the order of the habit
  std::vector<std::unique_ptr<PendingCollective>> pending_;
  size_t ended_ = 0;           ///< of pending_, from the front
  std::vector<size_t> apart_;  ///< parameters whose gradient would come late
  Clock::time_point under_way_since_;
  ReductionTime time_;
};

/// In buckets of such a length, in bytes: large enough that a message's latency does not count,
/// small enough that the last one, which nothing hides, is short.
int64_t bucket_bytes(const at::Device& device);

/// Gives all ranks the pieces of all ranks, in place; `flat` is on the communicator's device.
/// Collective.
void gather_pieces(const BucketPlan& plan, at::Tensor flat, Communicator& comm);

}  // namespace galette

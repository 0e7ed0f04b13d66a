// SPDX-License-Identifier: Apache-2.0
#include "parallel/gradient_reducer.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "kernels/multi_tensor.h"
#include "kernels/upload.h"

namespace galette {
namespace {

// In reached marks on their way to the other ranks: the gradient is not part of the sums yet.
constexpr uint8_t kReachedLate = 2;

constexpr int64_t kBucketBytesGpu = 25'000'000;
constexpr int64_t kBucketBytesCpu = 4'000'000;

double seconds_between(std::chrono::steady_clock::time_point begin,
                       std::chrono::steady_clock::time_point end) {
  return std::chrono::duration<double>(end - begin).count();
}

/// Where parameters begin, and where the last one ends.
at::Tensor borders(const ParameterArena& arena) {
  std::vector<int64_t> borders;
  for (const ArenaEntry& entry : arena.parameters()) borders.push_back(entry.offset);
  borders.push_back(arena.flat_gradients().numel());
  return upload(at::tensor(borders, at::kLong), arena.options().dtype(at::kLong));
}

}  // namespace

GradientReducer::GradientReducer(ParameterArena& arena, Communicator& comm,
                                 const ReductionConfig& config)
    : arena_(arena),
      comm_(comm),
      config_(config),
      borders_(borders(arena)),
      bad_marks_(at::full({borders_.numel() - 1}, -1, borders_.options())),
      is_reached_(arena.parameters().size()) {
  TORCH_CHECK(config.buckets.size() == arena.flat_gradients().numel(),
              "gradient reducer: buckets for ", config.buckets.size(), " elements, gradients have ",
              arena.flat_gradients().numel());
  arena_.set_gradient_listener([this](size_t parameter) { on_gradient(parameter); });
}

GradientReducer::~GradientReducer() {
  arena_.set_gradient_listener(nullptr);
}

int64_t GradientReducer::units() const {
  return config_.buckets.count() + (config_.buckets.rest().size > 0 ? 1 : 0);
}

FlatRange GradientReducer::unit(int64_t index) const {
  return index < config_.buckets.count() ? config_.buckets.bucket(index) : config_.buckets.rest();
}

std::pair<int64_t, int64_t> GradientReducer::units_of(const ArenaEntry& entry) const {
  return {config_.buckets.bucket_of(entry.offset),
          config_.buckets.bucket_of(entry.offset + entry.size - 1)};
}

void GradientReducer::begin_last_pass(int kind) {
  if (!config_.overlaps) return;
  is_last_pass_ = true;
  completed_.assign(static_cast<size_t>(units()), 0);
  missing_.assign(static_cast<size_t>(units()), 0);
  const auto habit = habits_.find(kind);
  if (habit == habits_.end()) return;
  habit_ = &habit->second;
  for (size_t i = 0; i < arena_.parameters().size(); ++i) {
    const auto [first, last] = units_of(arena_.parameters()[i]);
    if (habit_->is_reached[i] == 0) {
      // Should it come all the same, its bucket may be on its way.
      arena_.set_gradient_apart(i, true);
      apart_.push_back(i);
    } else {
      for (int64_t u = first; u <= last; ++u) ++missing_[static_cast<size_t>(u)];
    }
  }
}

void GradientReducer::on_gradient(size_t parameter) {
  if (!is_last_pass_) return;
  TORCH_CHECK(is_reached_[parameter] == 0,
              "gradient reducer: ", arena_.parameters()[parameter].name,
              " is reached again after its last pass");
  is_reached_[parameter] = 1;
  ++gradients_;
  const auto [first, last] = units_of(arena_.parameters()[parameter]);
  for (int64_t u = first; u <= last; ++u) {
    completed_[static_cast<size_t>(u)] = gradients_;
    if (habit_ != nullptr && habit_->is_reached[parameter] != 0) --missing_[static_cast<size_t>(u)];
  }
  if (habit_ != nullptr) start_what_is_complete();
}

void GradientReducer::start_what_is_complete() {
  const Clock::time_point begin = Clock::now();
  const size_t started_before = started_;
  while (started_ < habit_->order.size() &&
         missing_[static_cast<size_t>(habit_->order[started_])] == 0) {
    start(habit_->order[started_++]);
  }
  const bool was_under_way = ended_ < started_before;
  while (ended_ < pending_.size() && pending_[ended_]->test()) ++ended_;
  const Clock::time_point end = Clock::now();
  if (was_under_way) time_.hidden += seconds_between(under_way_since_, begin);
  if (was_under_way || started_ > started_before) time_.exposed += seconds_between(begin, end);
  under_way_since_ = end;
}

void GradientReducer::start(int64_t index) {
  const FlatRange range = unit(index);
  look_for_bad_values(range);
  const at::Tensor values = arena_.flat_gradients().narrow(0, range.begin, range.size);
  const bool is_bucket = index < config_.buckets.count();
  pending_.push_back(config_.is_sharded && is_bucket
                         ? comm_.start_reduce_scatter(values)
                         : comm_.start_all_reduce(values, ReduceOp::sum));
}

ReductionTime GradientReducer::finish(int kind) {
  const Clock::time_point begin = Clock::now();
  if (ended_ < pending_.size()) time_.hidden += seconds_between(under_way_since_, begin);
  if (config_.overlaps || config_.is_sharded) {
    const auto habit = habits_.find(kind);
    reduce_rest(habit == habits_.end() ? last_unit_first() : habit->second.order);
  } else {
    look_for_bad_values({0, config_.buckets.size()});
    comm_.all_reduce(arena_.flat_gradients(), ReduceOp::sum);
  }
  merge_reached();
  if (config_.overlaps && habits_.count(kind) == 0) learn(habits_[kind]);
  habit_ = nullptr;
  is_last_pass_ = false;
  std::fill(is_reached_.begin(), is_reached_.end(), uint8_t{0});
  gradients_ = 0;
  started_ = ended_ = 0;
  pending_.clear();
  ++steps_;
  time_.exposed += seconds_between(begin, Clock::now());
  return std::exchange(time_, {});
}

/// Backward passes begin at the end of a network.
std::vector<int64_t> GradientReducer::last_unit_first() const {
  std::vector<int64_t> order(static_cast<size_t>(units()));
  std::iota(order.rbegin(), order.rend(), int64_t{0});
  return order;
}

void GradientReducer::reduce_rest(const std::vector<int64_t>& order) {
  while (started_ < order.size()) start(order[started_++]);
  for (; ended_ < pending_.size(); ++ended_) pending_[ended_]->wait();
}

/// Looks for bad values in what this rank adds, without waiting for a device.
void GradientReducer::look_for_bad_values(const FlatRange& range) {
  mark_non_finite(arena_.flat_gradients().narrow(0, range.begin, range.size), range.begin, borders_,
                  bad_marks_, steps_ + 1);
}

int64_t GradientReducer::first_non_finite(int64_t step) const {
  const at::Tensor marks = bad_marks_.cpu();
  const int64_t* begin = marks.const_data_ptr<int64_t>();
  const int64_t* end = begin + marks.numel();
  // A mark of a later step may have taken the place of this one's.
  const int64_t* found = std::find_if(begin, end, [&](int64_t mark) { return mark >= step; });
  return found == end ? -1 : found - begin;
}

/// A rank whose share held no sample of a loss contributes zeros, but steps like the others.
void GradientReducer::merge_reached() {
  const at::Tensor reached = arena_.reached();
  uint8_t* marks = reached.mutable_data_ptr<uint8_t>();
  for (const size_t i : apart_) {
    if (arena_.gradient_apart(i).defined()) marks[i] = kReachedLate;
  }
  comm_.all_reduce(reached, ReduceOp::max);
  for (size_t i = 0; i < arena_.parameters().size(); ++i) {
    if (marks[i] == kReachedLate) add_late_gradient(i);
  }
  for (const size_t i : apart_) arena_.set_gradient_apart(i, false);
  apart_.clear();
}

void GradientReducer::add_late_gradient(size_t parameter) {
  const ArenaEntry& entry = arena_.parameters()[parameter];
  const at::Tensor own = arena_.gradient_apart(parameter);
  // Its memory may be that of other gradients.
  const at::Tensor sum = own.defined() ? own.clone(at::MemoryFormat::Contiguous).view(-1)
                                       : at::zeros({entry.size}, arena_.flat_gradients().options());
  comm_.all_reduce(sum, ReduceOp::sum);
  arena_.flat_gradients().narrow(0, entry.offset, entry.size).add_(sum);
  arena_.reached().mutable_data_ptr<uint8_t>()[parameter] = 1;
}

void GradientReducer::learn(Habit& habit) {
  habit.is_reached = is_reached_;
  habit.order = last_unit_first();
  // What never gets complete comes last.
  std::stable_sort(habit.order.begin(), habit.order.end(), [&](int64_t a, int64_t b) {
    const auto rank = [&](int64_t u) {
      const int64_t at = completed_.empty() ? 0 : completed_[static_cast<size_t>(u)];
      return at == 0 ? std::numeric_limits<int64_t>::max() : at;
    };
    return rank(a) < rank(b);
  });
  comm_.broadcast(at::from_blob(habit.order.data(), {units()}, at::kLong), 0);
}

int64_t bucket_bytes(const at::Device& device) {
  return device.is_cpu() ? kBucketBytesCpu : kBucketBytesGpu;
}

void gather_pieces(const BucketPlan& plan, at::Tensor flat, Communicator& comm) {
  for (int64_t i = 0; i < plan.count(); ++i) {
    const FlatRange whole = plan.bucket(i), own = plan.piece(i, comm.rank());
    comm.all_gather(flat.narrow(0, own.begin, own.size), flat.narrow(0, whole.begin, whole.size));
  }
  const FlatRange rest = plan.rest();
  if (rest.size > 0) comm.broadcast(flat.narrow(0, rest.begin, rest.size), plan.ranks() - 1);
}

}  // namespace galette

// SPDX-License-Identifier: Apache-2.0
// Reads the batches of coming iterations in background threads, a bounded number ahead, and hands
// them out in order.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include <ATen/ATen.h>

#include "io/dataset_file.h"

namespace galette::io {

struct Batch {
  at::Tensor images;  ///< uint8 [n, C, S, S]
  at::Tensor labels;  ///< float32 [n, label_dim]
};

/// Pinned memory can be copied to a GPU in the background; only for programs that use one.
enum class HostMemory { pageable, pinned };

class Prefetcher {
 public:
  /// The items of an iteration. Called for one iteration after the other, never at the same time,
  /// though from several threads: it may hold a state that moves on.
  using Items = std::function<std::vector<int64_t>(int64_t iteration)>;

  /// Starts at iteration `first`, with `workers` >= 1 threads and at most `ahead` >= 1 batches that
  /// are read or being read before they are asked for. The dataset must outlive the prefetcher.
  Prefetcher(const Dataset& dataset, Items items, int64_t first, int workers, int ahead,
             HostMemory memory = HostMemory::pageable);
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;
  /// Ends the threads, after the batches that they are reading.
  ~Prefetcher();

  /// The batch of the next iteration; waits for it. Throws what reading it threw.
  Batch next();

 private:
  struct Outcome {
    Batch batch;
    std::exception_ptr error;
  };

  Batch read(const std::vector<int64_t>& items) const;
  void work();

  const Dataset& dataset_;
  const Items items_;
  const int64_t ahead_;
  const HostMemory memory_;

  std::mutex mutex_;
  std::condition_variable room_;   ///< a batch was taken, or the end has come
  std::condition_variable ready_;  ///< a batch was finished
  int64_t to_start_;               ///< the next iteration that a worker will read
  int64_t to_take_;                ///< the next iteration that next() will return
  std::map<int64_t, Outcome> done_;
  bool stop_ = false;
  std::vector<std::thread> workers_;
};

}  // namespace galette::io

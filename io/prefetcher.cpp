// SPDX-License-Identifier: Apache-2.0
#include "io/prefetcher.h"

#include <utility>

namespace galette::io {

namespace {

at::Tensor in_memory(const at::Tensor& values, HostMemory memory) {
  return memory == HostMemory::pinned && values.numel() > 0 ? values.pin_memory() : values;
}

}  // namespace

Prefetcher::Prefetcher(const Dataset& dataset, Items items, int64_t first, int workers, int ahead,
                       HostMemory memory)
    : dataset_(dataset),
      items_(std::move(items)),
      ahead_(ahead),
      memory_(memory),
      to_start_(first),
      to_take_(first) {
  TORCH_CHECK(workers >= 1 && ahead >= 1, "reading ahead needs a thread and room for a batch");
  for (int i = 0; i < workers; ++i) workers_.emplace_back([this] { work(); });
}

Prefetcher::~Prefetcher() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  room_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

Batch Prefetcher::next() {
  std::unique_lock lock(mutex_);
  ready_.wait(lock, [this] { return done_.contains(to_take_); });
  const Outcome outcome = std::move(done_.extract(to_take_).mapped());
  ++to_take_;
  room_.notify_one();
  if (outcome.error) std::rethrow_exception(outcome.error);
  return outcome.batch;
}

Batch Prefetcher::read(const std::vector<int64_t>& items) const {
  return {in_memory(dataset_.images(items), memory_), in_memory(dataset_.labels(items), memory_)};
}

void Prefetcher::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    room_.wait(lock, [this] { return stop_ || to_start_ < to_take_ + ahead_; });
    if (stop_) return;
    const int64_t iteration = to_start_++;
    Outcome outcome;
    try {
      const std::vector<int64_t> items = items_(iteration);
      lock.unlock();
      outcome.batch = read(items);
    } catch (...) {
      outcome.error = std::current_exception();
    }
    if (!lock.owns_lock()) lock.lock();
    done_.emplace(iteration, std::move(outcome));
    ready_.notify_one();
  }
}

}  // namespace galette::io

// SPDX-License-Identifier: Apache-2.0
#include "training/real_batches.h"

#include <utility>

#include "kernels/upload.h"
#include "parallel/heartbeat.h"

namespace galette {
namespace {

/// A tick is 4 kimg by default: too long to keep what a rank reads ahead in memory.
constexpr int kBatchesAheadPerWorker = 2;

}  // namespace

RealBatches::RealBatches(std::unique_ptr<io::Prefetcher> prefetcher, std::unique_ptr<GpuFeed> feed,
                         const at::TensorOptions& networks)
    : prefetcher_(std::move(prefetcher)), feed_(std::move(feed)), networks_(networks) {}

RealBatch RealBatches::next() {
  const WatchedSection section("data");
  if (!feed_) {
    const io::Batch batch = prefetcher_->next();
    return {upload(batch.images, networks_.dtype(at::kByte)), upload(batch.labels, networks_)};
  }
  if (!is_sent_) send();
  const std::vector<at::Tensor> present = feed_->receive();
  send();
  return {present[0], present[1]};
}

void RealBatches::send() {
  const io::Batch batch = prefetcher_->next();
  feed_->send({batch.images, batch.labels});
  is_sent_ = true;
}

RealBatches make_real_batches(const io::Dataset& data, io::Prefetcher::Items items, int64_t first,
                              int workers, const at::TensorOptions& networks) {
  const at::Device device = networks.device();
  auto prefetcher = std::make_unique<io::Prefetcher>(
      data, std::move(items), first, workers, kBatchesAheadPerWorker * workers,
      device.is_cuda() ? io::HostMemory::pinned : io::HostMemory::pageable);
  return {std::move(prefetcher), device.is_cuda() ? make_gpu_feed(device) : nullptr, networks};
}

}  // namespace galette

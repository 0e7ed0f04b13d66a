// SPDX-License-Identifier: Apache-2.0
// The real images of a rank, one iteration after the other, where its networks are.
#pragma once

#include <memory>

#include "io/prefetcher.h"
#include "parallel/gpu_feed.h"
#include "training/phase_inputs.h"

namespace galette {

class RealBatches {
 public:
  /// `networks`: their type and device. With a feed, batches go through it, the next one while the
  /// present one is trained with; without, they are moved when they are asked for.
  RealBatches(std::unique_ptr<io::Prefetcher> prefetcher, std::unique_ptr<GpuFeed> feed,
              const at::TensorOptions& networks);

  /// The next batch, valid until the call after this one. Waits for data, not for a GPU.
  RealBatch next();

 private:
  void send();

  std::unique_ptr<io::Prefetcher> prefetcher_;
  std::unique_ptr<GpuFeed> feed_;
  at::TensorOptions networks_;
  bool is_sent_ = false;  ///< whether the next batch is on its way already
};

/// As suits the device of the networks. For the arguments see io::Prefetcher.
RealBatches make_real_batches(const io::Dataset& data, io::Prefetcher::Items items, int64_t first,
                              int workers, const at::TensorOptions& networks);

}  // namespace galette

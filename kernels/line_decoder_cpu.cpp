// SPDX-License-Identifier: Apache-2.0
// CPU bodies of line_decoder. The pixels of each sample are cut into tiles, and the tiles of all
// samples into runs, which threads share; both depend on the shape only. A run sums the gradients
// of the parameters over its tiles, and the sums of the runs are added in their order: results do
// not depend on the number of threads.
#include <atomic>
#include <optional>
#include <vector>

#include "kernels/line_decoder_tile.h"
#include "kernels/threads.h"

namespace galette {
namespace {

constexpr int64_t kMostRuns = 64;

/// How a call is cut. If each sample has parameters of its own, no run crosses samples.
struct Tiling {
  explicit Tiling(const LineDecoderCall& call)
      : pixels(call.pixels()),
        tiles_per_sample((pixels + kTilePixels - 1) / kTilePixels),
        groups(call.parameter_sets),
        tiles_per_group(call.samples * tiles_per_sample / std::max<int64_t>(1, groups)),
        runs_per_group(
            std::min(tiles_per_group, (kMostRuns + groups - 1) / std::max<int64_t>(1, groups))),
        runs(groups * runs_per_group) {}

  TilePlace operator[](int64_t tile) const {
    const int64_t first = tile % tiles_per_sample * kTilePixels;
    return {tile / tiles_per_sample, first, std::min(kTilePixels, pixels - first)};
  }
  int64_t group(int64_t run) const { return run / runs_per_group; }
  int64_t first_tile(int64_t run) const {
    return group(run) * tiles_per_group + part(run % runs_per_group);
  }
  int64_t end_tile(int64_t run) const {
    return group(run) * tiles_per_group + part(run % runs_per_group + 1);
  }

  int64_t pixels, tiles_per_sample, groups, tiles_per_group, runs_per_group, runs;

 private:
  int64_t part(int64_t run) const { return run * tiles_per_group / runs_per_group; }
};

template <typename T, int Bytes>
std::vector<DecoderWeights<T, Bytes>> packed_weights(const LineDecoderCall& call,
                                                     const T* parameters) {
  std::vector<std::optional<DecoderWeights<T, Bytes>>> sets(call.parameter_sets);
  at::parallel_for(0, call.parameter_sets, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) sets[i].emplace(call, parameters + i * call.parameters());
  });
  std::vector<DecoderWeights<T, Bytes>> result;
  for (auto& set : sets) result.push_back(std::move(*set));
  return result;
}

/// Runs body(worker, run, weights, place) for all tiles. Threads take the next run when they are
/// done with one, so that none waits for another that shares its core.
template <typename T, int Bytes, class Body>
void for_each_tile(const LineDecoderCall& call, const LineDecoderInputs& in, const Body& body) {
  const Tiling tiling(call);
  const auto weights = packed_weights<T, Bytes>(call, static_cast<const T*>(in.parameters));
  std::atomic<int64_t> next{0};
  const int64_t workers = std::min<int64_t>(tiling.runs, at::get_num_threads());
  at::parallel_for(0, workers, 1, [&](int64_t, int64_t) {
    DecoderTile<T, Bytes> worker(call);
    run_vectors_of<Bytes>([&]() GALETTE_FORCE_INLINE {
      for (int64_t run = next++; run < tiling.runs; run = next++)
        for (int64_t t = tiling.first_tile(run); t < tiling.end_tile(run); ++t)
          body(worker, run, weights[tiling.group(run)], tiling[t]);
    });
  });
}

/// The sums of the runs.
template <typename T, int Bytes>
class RunSums {
 public:
  RunSums(const LineDecoderCall& call, bool wanted) : call_(call), tiling_(call) {
    for (int64_t run = 0; wanted && run < tiling_.runs; ++run) sums_.emplace_back(call);
  }
  const DecoderSums<T, Bytes>* of(int64_t run) const {
    return sums_.empty() ? nullptr : &sums_[run];
  }
  void total(T* parameters) const {
    std::fill_n(parameters, call_.parameter_sets * call_.parameters(), T(0));
    at::parallel_for(0, tiling_.groups, 1, [&](int64_t begin, int64_t end) {
      for (int64_t run = begin * tiling_.runs_per_group; run < end * tiling_.runs_per_group; ++run)
        sums_[run].add_to(call_, parameters + tiling_.group(run) * call_.parameters());
    });
  }

 private:
  const LineDecoderCall& call_;
  Tiling tiling_;
  std::vector<DecoderSums<T, Bytes>> sums_;
};

template <typename T, int Bytes>
void forward(const LineDecoderCall& call, const LineDecoderInputs& in, T* y) {
  for_each_tile<T, Bytes>(call, in,
                          [&](auto& worker, int64_t, const auto& weights, const TilePlace& place)
                              GALETTE_FORCE_INLINE { worker.forward(place, in, weights, y); });
}

template <typename T, int Bytes>
void gradient(const LineDecoderCall& call, const LineDecoderInputs& in, const T* dy, T* ds,
              T* dparameters) {
  const RunSums<T, Bytes> sums(call, dparameters != nullptr);
  for_each_tile<T, Bytes>(
      call, in,
      [&](auto& worker, int64_t run, const auto& weights, const TilePlace& place)
          GALETTE_FORCE_INLINE { worker.gradient(place, in, weights, dy, ds, sums.of(run)); });
  if (dparameters != nullptr) sums.total(dparameters);
}

template <typename T, int Bytes>
void curvature(const LineDecoderCall& call, const LineDecoderInputs& in, const T* dy, const T* e,
               T* e_dy, T* dparameters) {
  const RunSums<T, Bytes> sums(call, dparameters != nullptr);
  for_each_tile<T, Bytes>(call, in,
                          [&](auto& worker, int64_t run, const auto& weights,
                              const TilePlace& place) GALETTE_FORCE_INLINE {
                            worker.curvature(place, in, weights, dy, e, e_dy, sums.of(run));
                          });
  if (dparameters != nullptr) sums.total(dparameters);
}

/// Calls f(T(), size of a vector) for the call's element type and this machine.
template <class F>
void dispatch(const LineDecoderCall& call, const F& f) {
  with_real_type(call.type,
                 [&](auto zero) { with_vector_bytes([&](auto bytes) { f(zero, bytes); }); });
}

}  // namespace

void line_decoder_forward_cpu(const LineDecoderCall& call, const LineDecoderInputs& in, void* y) {
  dispatch(call, [&](auto zero, auto bytes) {
    using T = decltype(zero);
    forward<T, bytes>(call, in, static_cast<T*>(y));
  });
}

void line_decoder_gradient_cpu(const LineDecoderCall& call, const LineDecoderInputs& in,
                               const void* dy, void* ds, void* dparameters) {
  dispatch(call, [&](auto zero, auto bytes) {
    using T = decltype(zero);
    gradient<T, bytes>(call, in, static_cast<const T*>(dy), static_cast<T*>(ds),
                       static_cast<T*>(dparameters));
  });
}

void line_decoder_curvature_cpu(const LineDecoderCall& call, const LineDecoderInputs& in,
                                const void* dy, const void* e, void* e_dy, void* dparameters) {
  dispatch(call, [&](auto zero, auto bytes) {
    using T = decltype(zero);
    curvature<T, bytes>(call, in, static_cast<const T*>(dy), static_cast<const T*>(e),
                        static_cast<T*>(e_dy), static_cast<T*>(dparameters));
  });
}

}  // namespace galette

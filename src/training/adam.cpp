// SPDX-License-Identifier: Apache-2.0
#include "training/adam.h"

#include <cmath>

#include "kernels/multi_tensor.h"
#include "parallel/gradient_reducer.h"

namespace galette {
namespace {

int64_t bucket_length(const at::Tensor& flat, const OptimizerShare& share) {
  const int64_t bytes = share.bucket_bytes > 0 ? share.bucket_bytes : bucket_bytes(flat.device());
  return bytes / static_cast<int64_t>(flat.element_size());
}

}  // namespace

AdamConfig AdamConfig::lazy(double lr, int64_t interval) {
  AdamConfig config{.lr = lr};
  if (interval > 1) {
    const double ratio = static_cast<double>(interval) / static_cast<double>(interval + 1);
    config.lr *= ratio;
    config.beta2 = std::pow(config.beta2, ratio);
  }
  return config;
}

Adam::Adam(ParameterArena& arena, const AdamConfig& config, const OptimizerShare& share)
    : arena_(arena),
      config_(config),
      plan_(arena.flat_parameters().numel(), bucket_length(arena.flat_parameters(), share),
            share.ranks),
      rank_(share.rank),
      step_counts_(at::zeros({static_cast<int64_t>(arena.parameters().size())}, at::kLong)) {
  int64_t size = 0;
  const std::vector<FlatRange> ranges =
      is_shared() ? plan_.share(rank_) : std::vector<FlatRange>{{0, plan_.size()}};
  for (const FlatRange& range : ranges) {
    parts_.push_back({range, size});
    size += range.size;
  }
  second_moment_ = at::zeros({size}, arena.flat_parameters().options());
}

std::vector<Adam::Run> Adam::begin_step() {
  const std::vector<ArenaEntry>& entries = arena_.parameters();
  const uint8_t* reached = arena_.reached().const_data_ptr<uint8_t>();
  int64_t* counts = step_counts_.mutable_data_ptr<int64_t>();
  std::vector<Run> runs;
  for (size_t first = 0; first < entries.size();) {
    size_t last = first + 1;
    while (last < entries.size() && reached[last] == reached[first] &&
           counts[last] == counts[first]) {
      ++last;
    }
    if (reached[first] != 0) {
      for (size_t i = first; i < last; ++i) ++counts[i];
      const int64_t begin = entries[first].offset;
      runs.push_back(
          {{begin, entries[last - 1].offset + entries[last - 1].size - begin}, counts[first]});
    }
    first = last;
  }
  return runs;
}

at::Tensor Adam::step(double grad_scale) {
  const at::Tensor non_finite = at::zeros({}, arena_.flat_gradients().options().dtype(at::kLong));
  for (const Run& run : begin_step()) {
    for (const Part& part : parts_) {
      const FlatRange range = intersection(run.range, part.range);
      if (range.size == 0) continue;
      adam_step(arena_.flat_parameters().narrow(0, range.begin, range.size),
                arena_.flat_gradients().narrow(0, range.begin, range.size),
                second_moment_.narrow(0, part.offset + range.begin - part.range.begin, range.size),
                {config_.lr, config_.beta2, config_.eps, run.step, grad_scale}, non_finite);
    }
  }
  return non_finite;
}

void Adam::gather_second_moment(const FlatRange& range, at::Tensor whole,
                                Communicator& comm) const {
  const auto put = [&](const FlatRange& from, const at::Tensor& values) {
    const FlatRange part = intersection(range, from);
    if (part.size == 0) return;
    whole.narrow(0, part.begin, part.size)
        .copy_(values.narrow(0, part.begin - from.begin, part.size));
  };
  if (!is_shared()) return put({0, plan_.size()}, second_moment_);
  // A bucket at a time, so that it takes little memory.
  for (int64_t i = 0; i < plan_.count(); ++i) {
    const at::Tensor bucket = at::empty({plan_.bucket(i).size}, second_moment_.options());
    const Part& own = parts_[static_cast<size_t>(i)];
    comm.all_gather(second_moment_.narrow(0, own.offset, own.range.size), bucket);
    put(plan_.bucket(i), bucket);
  }
  if (plan_.rest().size == 0) return;
  const int last = plan_.ranks() - 1;
  const at::Tensor rest = rank_ == last
                              ? second_moment_.narrow(0, parts_.back().offset, plan_.rest().size)
                              : at::empty({plan_.rest().size}, second_moment_.options());
  comm.broadcast(rest, last);
  put(plan_.rest(), rest);
}

void Adam::take_second_moment(const at::Tensor& whole) {
  for (const Part& part : parts_) {
    second_moment_.narrow(0, part.offset, part.range.size)
        .copy_(whole.narrow(0, part.range.begin, part.range.size));
  }
}

}  // namespace galette

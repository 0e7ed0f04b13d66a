// SPDX-License-Identifier: Apache-2.0
#include "metrics/metric_setup.h"

#include <algorithm>
#include <chrono>
#include <numeric>

#include <ATen/core/grad_mode.h>
#include <c10/util/Exception.h>

#include "base/log.h"
#include "base/progress.h"
#include "base/sample_rng.h"
#include "base/time_text.h"
#include "io/check.h"
#include "parallel/heartbeat.h"

namespace galette {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr Seconds kLineInterval{60};

/// A bar on terminals, and a line now and then.
class Progress {
 public:
  Progress(std::string title, int64_t total)
      : title_(std::move(title)), total_(total), bar_(title_, static_cast<double>(total), "img") {}

  void update(int64_t done) {
    bar_.update(static_cast<double>(done));
    const auto now = Clock::now();
    if (done == total_ || now - last_line_ < kLineInterval) return;
    last_line_ = now;
    const double each = Seconds(now - start_).count() / static_cast<double>(done);
    log::info("{}: {} of {} images, {:.1f} ms each, eta {}", title_, done, total_, 1000 * each,
              format_duration(each * static_cast<double>(total_ - done)));
  }

 private:
  std::string title_;
  int64_t total_;
  ProgressBar bar_;
  Clock::time_point start_ = Clock::now(), last_line_ = start_;
};

/// Empty when the work succeeds.
std::string failure_of(const std::function<void()>& work) {
  try {
    work();
    return "";
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  } catch (const std::exception& error) {
    return error.what();
  }
}

/// All ranks throw when one of them failed or wants to stop.
void agree_to_go_on(const std::string& failure, const MetricSetup& s) {
  constexpr double kGoOn = -2, kStop = -1;  // and the numbers of ranks that failed
  const double rank = s.comm.rank();
  const double worst = s.comm.max(!failure.empty() ? rank : s.stop() ? kStop : kGoOn);
  if (worst == kGoOn) return;
  if (worst == kStop) throw MetricStopped();
  throw std::runtime_error(s.comm.broadcast(failure, static_cast<int>(worst)));
}

}  // namespace

at::Tensor sample_labels(const MetricSetup& s, const std::vector<int64_t>& samples) {
  const Generator& g = s.generator;
  const at::TensorOptions options = g.arena().options();
  if (g.c_dim() == 0) return at::zeros({static_cast<int64_t>(samples.size()), 0}, options);
  TORCH_CHECK(s.data != nullptr && s.data->label_dim() == g.c_dim(),
              "a conditional generator needs a dataset with its labels");
  const SampleRng rng(s.seed);
  const auto size = static_cast<uint64_t>(s.data->size());
  std::vector<int64_t> items;
  for (const int64_t sample : samples) {
    items.push_back(static_cast<int64_t>(
        rng.below({Purpose::metric_label}, static_cast<uint32_t>(sample), size)));
  }
  return s.data->labels(items).to(options);
}

at::Tensor sample_latents(const MetricSetup& s, const std::vector<int64_t>& samples) {
  const Generator& g = s.generator;
  const at::TensorOptions options = g.arena().options();
  const at::Tensor z = SampleRng(s.seed).normal({Purpose::metric_z}, samples, {g.z_dim()},
                                                options.dtype().toScalarType());
  return g.broadcast(g.map(z.to(options), sample_labels(s, samples)));
}

void on_all_ranks(const MetricSetup& s, const std::function<void()>& work) {
  const std::string failure = failure_of(work);
  const double worst = s.comm.max(failure.empty() ? -1.0 : s.comm.rank());
  if (worst >= 0) throw InputError(s.comm.broadcast(failure, static_cast<int>(worst)));
}

void stop_if_asked(const MetricSetup& s) {
  agree_to_go_on("", s);
}

void for_each_batch(
    const std::string& title, int64_t samples, const MetricSetup& s,
    const std::function<void(int64_t batch, const std::vector<int64_t>& samples)>& work,
    int64_t size) {
  const at::NoGradGuard no_grad;
  const int64_t batches = (samples + size - 1) / size;
  const int64_t ranks = s.comm.size(), rank = s.comm.rank();
  const int64_t begin = batches * rank / ranks, end = batches * (rank + 1) / ranks;
  const int64_t rounds = (batches + ranks - 1) / ranks;  // those of the rank with most batches
  Progress progress(title, samples);
  for (int64_t round = 0; round < rounds; ++round) {
    const WatchedSection section(title);
    const int64_t batch = begin + round;
    const std::string failure = failure_of([&] {
      if (batch >= end) return;
      std::vector<int64_t> members(static_cast<size_t>(std::min(size, samples - batch * size)));
      std::iota(members.begin(), members.end(), batch * size);
      work(batch, members);
    });
    agree_to_go_on(failure, s);
    progress.update(std::min((round + 1) * ranks * size, samples));
  }
}

}  // namespace galette

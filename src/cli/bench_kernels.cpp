// SPDX-License-Identifier: Apache-2.0
// `galette bench kernels` times each operator and what it takes the place of. Operations and bytes
// are divided by the median of several runs of the slowest rank, and stand beside the rates of a
// product of two large matrices and of a copy, measured in the same way.
#include "cli/bench_kernels.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include "base/log.h"
#include "base/option_table.h"
#include "cli/bench_kernel_cases.h"
#include "cli/bench_timing.h"
#include "cli/device_option.h"
#include "kernels/multi_tensor.h"
#include "parallel/device_choice.h"
#include "parallel/gpu.h"
#include "parallel/mpi_communicator.h"

namespace galette {
namespace {

constexpr double kGiga = 1e9;

struct KernelBench {
  int64_t repeat = 5;
  int64_t batch = 4;
  std::string device = "auto";
  bool json = false;
  OptionTable table;

  KernelBench() {
    const Defines nothing = Defines::nothing;
    table.add("batch", nothing, batch, "samples of each tensor", {1, 1024});
    table.add("repeat", nothing, repeat, "timed runs of each measurement; more of short ones",
              {1, 1000});
    add_device_option(table, device);
    table.add_flag("json", json, "print one JSON object");
  }
};

struct Time {
  double ours = 0, plain = 0;
};

nlohmann::ordered_json rates(double seconds, const Cost& cost) {
  return {{"seconds", seconds},
          {"gflop_per_s", cost.operations / kGiga / seconds},
          {"gb_per_s", cost.bytes / kGiga / seconds}};
}

nlohmann::ordered_json result(const std::string& name, const char* pass, const Time& time,
                              const Cost& cost, double difference) {
  return {{"op", name},
          {"pass", pass},
          {"galette", rates(time.ours, cost)},
          {"plain", rates(time.plain, cost)},
          {"speedup", time.plain / time.ours},
          {"difference", difference}};
}

/// The largest difference, in parts of the largest value.
double difference(const Tensors& ours, const Tensors& plain) {
  double worst = 0;
  for (size_t i = 0; i < ours.size(); ++i) {
    const double scale = plain[i].abs().max().item<double>();
    worst = std::max(worst, (ours[i] - plain[i]).abs().max().item<double>() / scale);
  }
  return worst;
}

constexpr double kShortestMeasurement = 0.05;  // seconds
constexpr int64_t kMostRuns = 100;

class KernelTimer {
 public:
  KernelTimer(int64_t repeat, at::Device device, Communicator& comm)
      : repeat_(repeat), device_(device), comm_(comm) {}

  double seconds(const std::function<void()>& run) const {
    const auto run_and_wait = [&] {
      run();
      wait_for_device(device_);
    };
    // A thread may take a millisecond to wake up, as long as short operators run four times.
    const double once = median_seconds(run_and_wait, 1, comm_);
    const auto in_a_while = static_cast<int64_t>(kShortestMeasurement / std::max(once, 1e-6));
    return median_seconds(run_and_wait, std::max(repeat_, std::min(in_a_while, kMostRuns)), comm_);
  }

  void add(const KernelCase& c, nlohmann::ordered_json& results) const {
    Tensors leaves;
    for (const at::Tensor& t : c.inputs) leaves.push_back(t.clone().requires_grad_());
    const at::Tensor ours = c.ours(leaves), plain = c.plain(leaves);
    const at::Tensor dy = at::randn_like(ours);
    const auto forward = [&](const Operator& op) {
      const at::NoGradGuard no_grad;
      return seconds([&] { op(c.inputs); });
    };
    const auto gradients = [&](const at::Tensor& y) {
      return torch::autograd::grad({y}, leaves, {dy}, true);
    };
    const auto backward = [&](const at::Tensor& y) { return seconds([&] { gradients(y); }); };
    results.push_back(result(c.name, "forward", {forward(c.ours), forward(c.plain)}, c.forward,
                             difference({ours.detach()}, {plain.detach()})));
    results.push_back(result(c.name, "backward", {backward(ours), backward(plain)}, c.backward,
                             difference(gradients(ours), gradients(plain))));
  }

  /// The optimiser's operators work in place and have no backward pass. What they do is compared
  /// after one step, since more or fewer are timed.
  void add_optimiser(nlohmann::ordered_json& results) const {
    const int64_t n = 4'000'000;
    const at::Tensor theta = at::randn({n}, device_), grad = at::randn({n}, device_),
                     v = at::rand({n}, device_);
    const AdamStep step{.lr = 1e-3, .step = 10};
    const Tensors ours{theta.clone(), v.clone()}, plain{theta.clone(), v.clone()};
    const auto our_adam = [&] { adam_step(ours[0], grad, ours[1], step); };
    const auto plain_adam = [&] { plain_adam_step(plain[0], grad, plain[1], step); };
    our_adam();
    plain_adam();
    const double adam_difference = difference(ours, plain);
    const Time adam{seconds(our_adam), seconds(plain_adam)};
    results.push_back(
        result("adam_step", "update", adam, {10.0 * n, 5 * bytes_of({theta})}, adam_difference));
    const Tensors ema{theta.clone()}, plain_ema{theta.clone()};
    const auto our_ema = [&] { ema_update(ema[0], grad, 0.9); };
    const auto lerp = [&] { plain_ema[0].lerp_(grad, 1 - 0.9); };
    our_ema();
    lerp();
    const double ema_difference = difference(ema, plain_ema);
    const Time average{seconds(our_ema), seconds(lerp)};
    results.push_back(
        result("ema_update", "update", average, {3.0 * n, 3 * bytes_of({theta})}, ema_difference));
  }

 private:
  static void plain_adam_step(at::Tensor theta, const at::Tensor& grad, at::Tensor v,
                              const AdamStep& step) {
    const at::Tensor h = grad.nan_to_num(0, kInfinityStandIn, -kInfinityStandIn);
    v.mul_(step.beta2).addcmul_(h, h, 1 - step.beta2);
    const double correction = std::sqrt(1 - std::pow(step.beta2, static_cast<double>(step.step)));
    theta.addcdiv_(h, v.sqrt().div_(correction).add_(step.eps), -step.lr);
  }

  int64_t repeat_;
  at::Device device_;
  Communicator& comm_;
};

nlohmann::ordered_json measure(const KernelBench& o, MpiCommunicator& comm) {
  at::manual_seed(0);
  const at::Device device = use_device(o.device, comm);
  const KernelTimer timer(o.repeat, device, comm);
  // A GPU needs more to do until it is as fast as it can be.
  const int64_t side = device.is_cuda() ? 8192 : 1024;
  const int64_t numbers = int64_t{1} << (device.is_cuda() ? 28 : 24);
  const at::Tensor a = at::randn({side, side}, device), b = at::randn({side, side}, device);
  const at::Tensor from = at::randn({numbers}, device);
  at::Tensor product = at::empty_like(a), to = at::empty_like(from);
  const double product_seconds = timer.seconds([&] { at::mm_out(product, a, b); });
  const double copy_seconds = timer.seconds([&] { to.copy_(from); });
  nlohmann::ordered_json results = nlohmann::ordered_json::array();
  for (const KernelCase& c : kernel_cases(o.batch, device)) timer.add(c, results);
  timer.add_optimiser(results);
  return {
      {"device", c10::DeviceTypeName(device.type(), true)},
      {"ranks", comm.size()},
      {"threads_per_rank", at::get_num_threads()},
      {"batch", o.batch},
      {"repeat", o.repeat},
      {"product_gflop_per_s", 2 * std::pow(static_cast<double>(side), 3) / kGiga / product_seconds},
      {"copy_gb_per_s", 2 * bytes_of({from}) / kGiga / copy_seconds},
      {"results", results}};
}

void print_table(const nlohmann::ordered_json& r, const std::string& threads) {
  log::info("{}", threads);
  log::info("large product {:.1f} GFLOP/s, large copy {:.1f} GB/s, on each rank",
            r["product_gflop_per_s"].get<double>(), r["copy_gb_per_s"].get<double>());
  log::info("{:<15}{:<9}{:>9}{:>9}{:>7}{:>12}{:>9}{:>9}", "", "", "ms", "GFLOP/s", "GB/s",
            "plain: ms", "times", "differs");
  for (const auto& line : r["results"]) {
    const auto& ours = line["galette"];
    log::info("{:<15}{:<9}{:9.2f}{:9.1f}{:7.1f}{:12.2f}{:9.2f}{:9.0e}",
              line["op"].get<std::string>(), line["pass"].get<std::string>(),
              1e3 * ours["seconds"].get<double>(), ours["gflop_per_s"].get<double>(),
              ours["gb_per_s"].get<double>(), 1e3 * line["plain"]["seconds"].get<double>(),
              line["speedup"].get<double>(), line["difference"].get<double>());
  }
}

int bench_kernels(const KernelBench& bench) {
  return run_bench(
      bench.json, [&](MpiCommunicator& comm) { return measure(bench, comm); }, print_table);
}

}  // namespace

void add_bench_kernels(CLI::App& bench, Action& action) {
  CLI::App* kernels =
      bench.add_subcommand("kernels", "Times operators beside those that they take the place of");
  auto command = std::make_shared<KernelBench>();
  command->table.add_to(*kernels);
  kernels->callback([command, &action] { action = [command] { return bench_kernels(*command); }; });
}

}  // namespace galette

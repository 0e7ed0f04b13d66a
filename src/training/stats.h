// SPDX-License-Identifier: Apache-2.0
// The statistics of a run. Each name of a fixed list keeps three moments in double precision:
// count, sum, sum of squares. Ranks add up their own values and meet once per tick, in collect().
#pragma once

#include <string_view>
#include <vector>

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include "parallel/communicator.h"

namespace galette {

enum class ScoresOf { fake, real };

class Statistics {
 public:
  Statistics();

  /// Every name, in the order of the files. Others are refused.
  static const std::vector<std::string_view>& names();

  /// Adds all elements of `values` (any shape, any device), or one value, on this rank. Does not
  /// wait for the device.
  void report(std::string_view name, const at::Tensor& values);
  void report(std::string_view name, double value);
  /// The sums that tensors of a device are added to: changed in place until load().
  at::Tensor sums_on(const at::Device& device);
  /// What a discriminator said: adds to Loss/scores/ and, by their signs, to Loss/signs/.
  void report_scores(ScoresOf of, const at::Tensor& logits);

  /// Sums what all ranks reported since the last call; that is what the functions below tell from
  /// then on. A name without new values keeps what it had. Collective.
  void collect(Communicator& comm);

  double num(std::string_view name) const;
  /// NaN when nothing was ever reported.
  double mean(std::string_view name) const;
  /// Of the values, not of the mean; NaN when nothing was reported, 0 for one value.
  double std(std::string_view name) const;
  /// {name: {num, mean, std}, ...}
  nlohmann::ordered_json to_json() const;

  /// Everything, for a checkpoint: float64 [ranks + 1, names, 3] on the CPU, equal on all ranks:
  /// what each rank reported since the last collect(), then what was collected. Collective.
  at::Tensor save(Communicator& comm) const;
  /// Takes that back. On another number of ranks, rank 0 takes what all had reported.
  void load(const at::Tensor& state, const Communicator& comm);

 private:
  /// What this rank reported since the last collect(), on the CPU.
  at::Tensor pending() const;

  at::Tensor pending_;    ///< float64 [names, 3], of what was reported on the CPU
  at::Tensor on_device_;  ///< the same of tensors of a device, there; undefined without any
  at::Tensor collected_;  ///< float64 [names, 3], all ranks
};

}  // namespace galette

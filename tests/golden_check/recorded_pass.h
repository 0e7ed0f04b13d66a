// SPDX-License-Identifier: Apache-2.0
// A pass through a generator in training, with the random numbers that the reference consumed: of
// style mixing, of the noise layers, and of path lengths.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "networks.h"
#include "training/losses.h"

namespace galette::golden {

/// The generator of a case: `cfg` begins with creps, stylegan2 or stylegan3.
std::unique_ptr<Generator> make_recorded_generator(const std::string& cfg,
                                                   const nlohmann::json& args,
                                                   at::TensorOptions options);

/// The recorded draws of a phase, in order: names like 003_randn_forward in a group of the case.
class RecordedDraws {
 public:
  RecordedDraws(const Case& c, const std::string& group);
  /// The next one, [N, ...]; rows in the order given.
  at::Tensor next(const at::Tensor& order);
  at::Tensor next();

 private:
  const Case& c_;
  std::string group_;
  std::vector<std::string> names_;
  size_t at_ = 0;
};

/// Latents of one pass and what goes with them.
struct RecordedPass {
  at::Tensor w;   ///< [n, w_dim], before styles are mixed
  at::Tensor ws;  ///< [n, num_ws, w_dim]
  SynthesisOptions synthesis;
};

/// z [n, z_dim] and c [n, c_dim], in the order that `order` makes of the reference's samples.
/// `mixing` is the probability of style mixing. `draws` must outlive the pass.
RecordedPass begin_pass(const Generator& g, RecordedDraws& draws, const at::Tensor& z,
                        const at::Tensor& c, const at::Tensor& order, double mixing);

/// Whether the reference moves the average of w in a pass of a G phase: creps does (its averaging
/// flag is read the wrong way round), the others do in the D phase.
bool moves_average_in_g_phase(const std::string& cfg);

/// The magnitude averages by name, after a pass that collected `magnitudes` with immediate effect.
std::vector<std::pair<std::string, at::Tensor>> moved_magnitudes(const Generator& g,
                                                                 const InputMagnitudes& magnitudes);
/// What such a pass collects into.
InputMagnitudes immediate_magnitudes(const Generator& g, double beta);

}  // namespace galette::golden

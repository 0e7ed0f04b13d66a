// SPDX-License-Identifier: Apache-2.0
// All tensors of one network in two flat allocations: parameters (with a third for their gradients)
// and buffers. Reducing gradients, the optimiser's step, averaging, broadcasting, checksums and
// checkpoints are each one operation over a flat range, and a rank's share of any is a sub-range.
//
// A network declares its tensors while it is built and keeps the handles; allocate() then makes
// every handle a view into the flat memory.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

#include "base/gradient_gatherer.h"
#include "base/sample_rng.h"

namespace torch::autograd {
struct Node;
}

namespace galette {

/// How a tensor starts: normal(0, stddev) plus mean; stddev 0 gives a constant. A transform makes
/// standard normals into values of another distribution, which then take their place.
struct Init {
  using Transform = at::Tensor (*)(const at::Tensor& normals);
  double stddev = 0;
  double mean = 0;
  Transform transform = nullptr;
  static Init normal(double stddev = 1) { return {stddev, 0}; }
  static Init constant(double value) { return {0, value}; }
  static Init transformed(Transform transform, double scale) { return {scale, 0, transform}; }
};

/// One named tensor of an arena; `offset` and `size` are elements of its flat allocation.
struct ArenaEntry {
  std::string name;
  std::vector<int64_t> shape;
  int64_t offset = 0;
  int64_t size = 0;
  Init init;
  at::Tensor tensor;  ///< the handle that the network holds
  at::Tensor value;   ///< given start value of a designed buffer (a filter, say), or undefined
};

class ParameterArena {
 public:
  /// `options`: element type (float32 or float64) and device of every tensor.
  explicit ParameterArena(at::TensorOptions options) : options_(options) {}
  ParameterArena(const ParameterArena&) = delete;
  ParameterArena& operator=(const ParameterArena&) = delete;

  // --- Declaring, until allocate() ---
  at::Tensor add_parameter(const std::string& name, std::vector<int64_t> shape, Init init);
  at::Tensor add_buffer(const std::string& name, std::vector<int64_t> shape, Init init);
  at::Tensor add_buffer(const std::string& name, const at::Tensor& value);
  /// Makes the flat allocations and turns all handles into views of them. Values are undefined
  /// until initialize() or a load.
  void allocate();

  // --- Values ---
  /// Draws every tensor from its own stream (init, network, name), so a tensor's start depends on
  /// nothing but the seed and its name.
  void initialize(const SampleRng& rng, uint16_t network);
  const std::vector<ArenaEntry>& parameters() const { return parameters_; }
  const std::vector<ArenaEntry>& buffers() const { return buffers_; }
  /// The tensor of a parameter or buffer; undefined when there is none of that name.
  at::Tensor find(const std::string& name) const;
  at::Tensor flat_parameters() const { return flat_parameters_; }
  at::Tensor flat_buffers() const { return flat_buffers_; }
  at::TensorOptions options() const { return options_; }

  // --- Gradients ---
  /// Allocates the flat gradient, whose slices are the parameters' grad. From then on, a backward
  /// pass adds to it, and marks the parameters that it reaches; when it ends, all is there. Call
  /// once, on networks that are trained.
  void enable_gradients();
  at::Tensor flat_gradients() const { return flat_gradients_; }
  void set_requires_grad(bool value);
  /// Zeroes the gradients and forgets which parameters were reached.
  void clear_gradients();
  /// reached()[i] is 1 when parameter i got a gradient since clear_gradients(): uint8 on the CPU.
  /// A parameter that no loss reached is left alone by the optimiser; absent is not zero.
  at::Tensor reached() const { return reached_; }

  /// Called with a parameter's number after each time that a backward pass has added to its
  /// gradient, by the thread that runs the pass; nullptr: nothing is.
  using GradientListener = std::function<void(size_t parameter)>;
  void set_gradient_listener(GradientListener listener) { listener_ = std::move(listener); }
  /// Whether the next backward passes leave the gradient of a parameter in memory of its own rather
  /// than add it to the flat gradient, which then may be in use elsewhere.
  void set_gradient_apart(size_t parameter, bool apart);
  /// What they left there, of any strides; undefined when that is nothing.
  at::Tensor gradient_apart(size_t parameter) const { return apart_[parameter]; }

 private:
  class TakeGradient;
  at::Tensor declare(std::vector<ArenaEntry>& entries, const std::string& name,
                     std::vector<int64_t> shape, Init init);
  void take_gradient(size_t parameter, const at::Tensor& gradient);
  void note_gradient(size_t parameter);

  at::TensorOptions options_;
  std::vector<ArenaEntry> parameters_;
  std::vector<ArenaEntry> buffers_;
  GradientListener listener_;
  at::Tensor flat_parameters_, flat_buffers_, flat_gradients_, reached_;
  std::optional<GradientGatherer> gatherer_;
  std::vector<std::shared_ptr<torch::autograd::Node>> accumulators_;
  std::vector<bool> are_apart_;    ///< by set_gradient_apart()
  std::vector<at::Tensor> apart_;  ///< gradients of these
};

}  // namespace galette

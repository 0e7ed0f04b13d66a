// SPDX-License-Identifier: Apache-2.0
// Compares derivatives from autograd with central differences in float64.
#pragma once

#include <functional>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

namespace galette::testing {

using Tensors = std::vector<at::Tensor>;
using Operator = std::function<at::Tensor(const Tensors&)>;

/// A float64 tensor of normal numbers, the same for the same seed.
inline at::Tensor normal(at::IntArrayRef shape, uint64_t seed) {
  auto generator = at::detail::createCPUGenerator(seed);
  return at::randn(shape, generator, at::TensorOptions().dtype(at::kDouble));
}

/// One thread while it lives: thousands of tiny operators only wait for each other on more.
class OneThread {
 public:
  OneThread() : before_(at::get_num_threads()) { at::set_num_threads(1); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;
  ~OneThread() { at::set_num_threads(before_); }

 private:
  int before_;
};

/// Checks d<f(inputs), cotangent>/d(inputs), element by element. Central differences with step h
/// err by h^2 f''' and by 1e-16 / h: with h = 1e-5 both are below 1e-9 for values of order one.
inline void expect_gradients(const Operator& f, const Tensors& inputs, double tolerance = 1e-7) {
  const double h = 1e-5;
  const OneThread one_thread;
  Tensors leaves;
  for (const at::Tensor& input : inputs) leaves.push_back(input.clone().requires_grad_());
  const at::Tensor y = f(leaves);
  const at::Tensor cotangent = normal(y.sizes(), 99);
  ASSERT_TRUE(y.requires_grad());
  const Tensors analytic =
      torch::autograd::grad({y}, leaves, {cotangent}, std::nullopt, false, true);
  for (size_t k = 0; k < inputs.size(); ++k) {
    for (int64_t i = 0; i < inputs[k].numel(); ++i) {
      const auto shifted = [&](double by) {
        Tensors at_point = inputs;
        at_point[k] = inputs[k].clone();
        at_point[k].view(-1)[i] += by;
        for (at::Tensor& leaf : at_point) leaf = leaf.detach().requires_grad_();
        return (f(at_point) * cotangent).sum().item<double>();
      };
      const double numeric = (shifted(h) - shifted(-h)) / (2 * h);
      const double exact = analytic[k].defined() ? analytic[k].reshape(-1)[i].item<double>() : 0;
      ASSERT_NEAR(exact, numeric, tolerance) << "input " << k << ", element " << i;
    }
  }
}

/// Checks the derivatives of the gradients themselves, also for the cotangent that they are taken
/// with: R1 and path-length regularisation differentiate gradients.
inline void expect_second_gradients(const Operator& f, const Tensors& inputs,
                                    double tolerance = 1e-6) {
  const Operator gradient = [&f](const Tensors& at_point) {
    const Tensors leaves(at_point.begin(), at_point.end() - 1);
    const Tensors grads =
        torch::autograd::grad({f(leaves)}, leaves, {at_point.back()}, true, true, false);
    Tensors flat;
    for (const at::Tensor& grad : grads) flat.push_back(grad.reshape(-1));
    return at::cat(flat);
  };
  Tensors with_cotangent = inputs;
  with_cotangent.push_back(normal(f(inputs).sizes(), 98));
  expect_gradients(gradient, with_cotangent, tolerance);
}

}  // namespace galette::testing

// SPDX-License-Identifier: Apache-2.0
// Bias, activation, gain and clamp in one pass over memory, differentiable twice.
//
//   z = x + bias (along one axis),  y = clamp(gain * act(z), -clamp, +clamp)
//
// The order is fixed: the clamp acts on the value after the gain. Source: the layer non-linearity
// of Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", section 2.
#pragma once

#include <optional>
#include <string_view>

#include <ATen/ATen.h>

#include "kernels/bias_act_math.h"

namespace galette {

struct BiasActOptions {
  int64_t dim = 1;                ///< The axis of x along which the bias runs; may be negative.
  std::optional<double> alpha{};  ///< Slope of lrelu below zero (>= 0); 0.2 when absent.
  std::optional<double> gain{};   ///< Factor after the activation; default_gain(act) when absent.
  std::optional<double> clamp{};  ///< Largest magnitude of the result (>= 0); none when absent.
};

/// The activation called `name` ("linear", "relu", "lrelu", ...); throws c10::Error for another
/// name.
Activation activation_from_name(std::string_view name);

/// The factor that keeps the variance of activations: sqrt(2) for relu, lrelu and swish, else 1.
double default_gain(Activation act);

/// x: any rank and strides, float32, float64, float16 or bfloat16; bias: absent or [x.size(dim)] of
/// the same type and device. Returns a tensor of x's shape and type; x itself when there is nothing
/// to do. 16-bit types compute in float32 and round once. A channels-last x gives a channels-last
/// result.
///
/// The gradient is zero where the result is clamped. It keeps only y for the backward pass (swish:
/// x and bias; linear without clamp: nothing). First and second derivatives exist; asking for the
/// third throws. Throws c10::Error on a wrong type, device, axis, bias length, or a gain that is
/// not positive (except for linear).
at::Tensor bias_act(const at::Tensor& x, const std::optional<at::Tensor>& bias, Activation act,
                    const BiasActOptions& options = {});

}  // namespace galette

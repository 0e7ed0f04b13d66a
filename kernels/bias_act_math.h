// SPDX-License-Identifier: Apache-2.0
// The formulas of bias_act for one element, shared by the CPU and CUDA bodies. z = x + bias is the
// activation's argument and u = y / gain its value. Except for swish, both derivatives are
// functions of u alone, which is why only y is kept for the backward pass.
#pragma once

namespace galette {

enum class Activation { kLinear, kRelu, kLrelu, kTanh, kSigmoid, kElu, kSelu, kSoftplus, kSwish };

}  // namespace galette

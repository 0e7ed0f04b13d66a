// SPDX-License-Identifier: Apache-2.0
// Tensors that an operator may do without. Autograd takes an absent one only as an empty optional,
// LibTorch saves it as an undefined one, and the bodies want a null pointer.
#pragma once

#include <optional>

#include <ATen/ATen.h>

namespace galette {

using OptionalTensor = std::optional<at::Tensor>;

inline OptionalTensor optional_of(const at::Tensor& tensor) {
  return tensor.defined() ? OptionalTensor(tensor) : std::nullopt;
}

inline const void* data_or_null(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr() : nullptr;
}

}  // namespace galette

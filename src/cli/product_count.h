// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/record_function.h>

namespace galette {

/// While it lives, counts the arithmetic of LibTorch's matrix products and convolutions on this
/// thread, by their definitions: for each number of a result the products that its sum has. What
/// does something else (element by element, filters, Galette's own kernels) counts nothing.
class ProductCount {
 public:
  ProductCount();
  ProductCount(const ProductCount&) = delete;
  ProductCount& operator=(const ProductCount&) = delete;
  ~ProductCount();

  /// Multiplications and additions until now.
  double operations() const;

 private:
  at::CallbackHandle callback_;
};

}  // namespace galette

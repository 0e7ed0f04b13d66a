// SPDX-License-Identifier: Apache-2.0
// Element types as the bodies of the kernels see them, who know no LibTorch header.
#pragma once

namespace galette {

enum class ElementType { kFloat64, kFloat32, kFloat16, kBFloat16 };

/// Calls f(T()) with double for float64 and with float for others.
template <class F>
void with_real_type(ElementType type, const F& f) {
  if (type == ElementType::kFloat64) {
    f(double());
  } else {
    f(float());
  }
}

}  // namespace galette

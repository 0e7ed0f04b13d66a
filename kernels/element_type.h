// SPDX-License-Identifier: Apache-2.0
// Element types as the bodies of the kernels see them, who know no LibTorch header.
#pragma once

namespace galette {

enum class ElementType { kFloat64, kFloat32, kFloat16, kBFloat16 };

}  // namespace galette

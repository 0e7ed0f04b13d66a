// SPDX-License-Identifier: Apache-2.0
// Formula of the normal fills, and their CUDA body.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/element_type.h"
#include "kernels/host_device.h"
#include "kernels/philox.h"

namespace galette {

/// Two standard normals of two 32-bit values. The logarithm is that of a number in (0, 1].
template <typename T>
GALETTE_HOST_DEVICE inline void normal_pair(uint32_t x, uint32_t y, T& first, T& second) {
  const T unit = static_cast<T>(0x1p-32), two_pi = static_cast<T>(6.283185307179586476925287);
  // Float32 would lose the distance of a number near 1 to 1, which small radii are the root of.
  const T logarithm = sizeof(T) == 4 && x > 0x80000000u
                          ? std::log1p(-static_cast<T>(0xffffffffu - x) * unit)
                          : std::log((static_cast<T>(x) + T(1)) * unit);
  const T radius = std::sqrt(T(-2) * logarithm);
  const T angle = two_pi * (static_cast<T>(y) * unit);
  first = radius * std::cos(angle);
  second = radius * std::sin(angle);
}

/// Element 4*number + i of a row is the i-th value of its block `number`.
template <typename T>
GALETTE_HOST_DEVICE inline void normal_block(const PhiloxStream& stream, uint32_t row,
                                             uint32_t number, T values[4]) {
  const PhiloxBlock bits = philox4x32(number, row, stream.c2, stream.c3, stream.k0, stream.k1);
  normal_pair(bits.x[0], bits.x[1], values[0], values[1]);
  normal_pair(bits.x[2], bits.x[3], values[2], values[3]);
}

/// Rows that one launch fills: they travel with its arguments.
constexpr int kRowsOfALaunch = 128;
struct PhiloxRows {
  int count = 0;
  uint32_t row[kRowsOfALaunch];
};

/// Fills rows.count * n values, on the cudaStream_t `stream`. `c2`: on the device, in the place of
/// philox.c2; or null.
void fill_normal_cuda(ElementType type, void* values, const PhiloxRows& rows, int64_t n,
                      const PhiloxStream& philox, const int32_t* c2, void* stream);

}  // namespace galette

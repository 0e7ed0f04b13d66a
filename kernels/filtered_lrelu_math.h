// SPDX-License-Identifier: Apache-2.0
// What the bodies of filtered_lrelu are given: two FIR stages that meet on a grid of intermediate
// values v [mid_y, mid_x], which starts at the first value that the second stage sees. The adjoint
// exchanges the transposed stages and keeps the grid, so the codes recorded for v fit it as they
// are.
//
// Codes of v: 0 unchanged, 1 scaled by the slope, 2 clamped. A byte holds those of four rows,
// bits 0-1 those of the first. Columns stand in `phases` lines, line a holding m = phases i + a.
#pragma once

#include <cstdint>

#include "kernels/upfirdn2d_math.h"

namespace galette {

enum class LreluCodes { none, write, read };

struct FilteredLreluCall {
  ElementType type = ElementType::kFloat32;
  int64_t planes = 0;
  int64_t channels = 1;
  UpFirDnAxis up_x, up_y;      ///< from x to v; down is 1
  UpFirDnAxis down_x, down_y;  ///< from v to y; up is 1
  double slope = 0;
  double clamp = 0;  ///< of v; infinite for none
  LreluCodes codes = LreluCodes::none;
};

/// The map from results back to samples that is the transpose of an axis, with reversed taps.
constexpr UpFirDnAxis transposed(const UpFirDnAxis& a) {
  return {a.out, a.in, a.down, a.up, a.taps - 1 - a.pad, a.taps};
}

struct CodeLayout {
  int64_t phases, line, rows;
  GALETTE_HOST_DEVICE constexpr int64_t columns() const { return phases * line; }
  GALETTE_HOST_DEVICE constexpr int64_t column(int64_t m) const {
    return m % phases * line + m / phases;
  }
};

constexpr int64_t kCodeRows = 4;  ///< rows in a byte
constexpr int64_t kCodeLine = 8;  ///< a line is a multiple of this

/// The layout for both directions: lines by the smallest common multiple of the two factors.
constexpr CodeLayout code_layout(const FilteredLreluCall& call) {
  int64_t phases = call.up_x.up;
  while (phases % call.down_x.down != 0) phases += call.up_x.up;
  const int64_t line = (call.up_x.out + phases * kCodeLine - 1) / (phases * kCodeLine) * kCodeLine;
  return {phases, line, (call.up_y.out + kCodeRows - 1) / kCodeRows};
}

/// Applies slope and clamp to v and says what was done. V and I are a number and an int, or vectors
/// of as many of them, whose comparisons give vectors.
template <class V, class I>
GALETTE_HOST_DEVICE inline void apply_lrelu(V& v, const V& slope, const V& clamp, I& code) {
  const auto negative = v < V{};
  v = negative ? v * slope : v;
  const auto above = v > clamp, below = v < -clamp;
  v = above ? clamp : v;
  v = below ? -clamp : v;
  code = (above | below) ? I{} + 2 : (negative ? I{} + 1 : I{});
}

/// Multiplies v by the derivative that `code` records.
template <class V, class I>
GALETTE_HOST_DEVICE inline void apply_code(V& v, const V& slope, const I& code) {
  v = (code == I{} + 1) ? v * slope : v;
  v = (code == I{} + 2) ? V{} : v;
}

/// x [planes, up_y.in, up_x.in], bias [channels] or null, codes uint8 [planes, rows, columns] of
/// code_layout, y [planes, down_y.out, down_x.out]. The CPU body takes oriented taps with all
/// gains, as host_taps gives them.
struct LreluTaps {
  const double* x = nullptr;  ///< a vector per axis, or
  const double* y = nullptr;
  const double* full = nullptr;  ///< a matrix [y.taps, x.taps]
};
/// A filter as it lies on the device, in the type that the CUDA body computes in, which orients it.
struct DeviceTaps {
  const void* values = nullptr;  ///< null: one
  bool is_vector = false;        ///< for both axes; else a matrix [y.taps, x.taps]
  bool is_turned = false;        ///< reversed along all axes
  double gain = 1;
};
void filtered_lrelu_cpu(const FilteredLreluCall& call, const LreluTaps& up, const LreluTaps& down,
                        const void* x, const void* bias, uint8_t* codes, void* y);
void filtered_lrelu_cuda(const FilteredLreluCall& call, const DeviceTaps& up,
                         const DeviceTaps& down, const void* x, const void* bias, uint8_t* codes,
                         void* y, void* stream);

}  // namespace galette

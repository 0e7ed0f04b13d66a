// SPDX-License-Identifier: Apache-2.0
// Small matrix products on the CPU, whose operands lie in the caches: C = A B, six rows by two
// vectors of C at a time, which stay in registers over the whole sum. B is read in panels, two
// vectors wide. An element is summed in the same order in whatever block it falls.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "kernels/cpu_isa.h"

namespace galette {

template <typename T, int Bytes>
struct Simd {
  // NOLINTNEXTLINE(modernize-use-using): a vector of a dependent type
  typedef T Vector __attribute__((vector_size(Bytes)));
  static constexpr int64_t kLanes = Bytes / sizeof(T);
  static constexpr int64_t kPanel = 2 * kLanes;

  static int64_t padded(int64_t n) { return (n + kPanel - 1) / kPanel * kPanel; }
  GALETTE_FORCE_INLINE static void load(Vector& v, const T* from) {
    std::memcpy(&v, from, sizeof v);
  }
  GALETTE_FORCE_INLINE static void store(T* to, const Vector& v) { std::memcpy(to, &v, sizeof v); }
};

/// Aligned to lines of the cache; zeros, unless all will be written before it is read.
template <typename T>
class AlignedBuffer {
 public:
  enum Start { zeros, undefined };

  AlignedBuffer() = default;
  explicit AlignedBuffer(int64_t n, Start start = zeros) {
    const size_t bytes = (static_cast<size_t>(n) * sizeof(T) / kLine + 1) * kLine;
    data_.reset(static_cast<T*>(std::aligned_alloc(kLine, bytes)));
    if (!data_) throw std::bad_alloc();
    if (start == zeros) std::memset(data_.get(), 0, bytes);
  }
  T* data() const { return data_.get(); }

 private:
  static constexpr size_t kLine = 64;
  struct Free {
    void operator()(T* p) const { std::free(p); }
  };
  std::unique_ptr<T, Free> data_;
};

/// Element (m, k) lies at data[m * row + k * column].
template <typename T>
struct StridedMatrix {
  const T* data;
  int64_t row, column;
};

/// Row k of panel j begins at data[j * panel + k * row].
template <typename T>
struct PanelMatrix {
  const T* data;
  int64_t panel, row;
};

/// `Rows` rows of C from row m on and the two vectors from column n on. start(sum, m, n) sets a
/// vector of the sum, finish(sum, m, n) takes it.
template <int Rows, int Bytes, typename T, class Start, class Finish>
GALETTE_FORCE_INLINE inline void product_block(const StridedMatrix<T>& a, const T* b, int64_t b_row,
                                               int64_t depth, int64_t m, int64_t n,
                                               const Start& start, const Finish& finish) {
  using S = Simd<T, Bytes>;
  typename S::Vector sum[Rows][2];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
    start(sum[r][0], m + r, n);
    start(sum[r][1], m + r, n + S::kLanes);
  }
  const T* left = a.data + m * a.row;
  for (int64_t k = 0; k < depth; ++k, left += a.column, b += b_row) {
    typename S::Vector first, second;
    S::load(first, b);
    S::load(second, b + S::kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      const T factor = left[r * a.row];
      sum[r][0] += first * factor;
      sum[r][1] += second * factor;
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
    finish(sum[r][0], m + r, n);
    finish(sum[r][1], m + r, n + S::kLanes);
  }
}

/// C = A B for `rows` rows and `columns` columns, rounded up to whole panels, over `depth` terms.
template <int Bytes, typename T, class Start, class Finish>
GALETTE_FORCE_INLINE inline void tile_product(const StridedMatrix<T>& a, const PanelMatrix<T>& b,
                                              int64_t rows, int64_t columns, int64_t depth,
                                              const Start& start, const Finish& finish) {
  constexpr int64_t kPanel = Simd<T, Bytes>::kPanel;
  const T* panel = b.data;
  for (int64_t n = 0; n < columns; n += kPanel, panel += b.panel) {
    int64_t m = 0;
    for (; m + 6 <= rows; m += 6)
      product_block<6, Bytes>(a, panel, b.row, depth, m, n, start, finish);
    for (; m + 2 <= rows; m += 2)
      product_block<2, Bytes>(a, panel, b.row, depth, m, n, start, finish);
    if (m < rows) product_block<1, Bytes>(a, panel, b.row, depth, m, n, start, finish);
  }
}

}  // namespace galette

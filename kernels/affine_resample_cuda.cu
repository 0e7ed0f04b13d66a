// SPDX-License-Identifier: Apache-2.0
// CUDA body of affine_resample: one kernel for each step and each transpose, one result per step of
// a grid-stride loop. All of them gather, the transpose of the sampling too: it inverts the
// transformation to find the samples of the canvas that read a place. So results are deterministic.
// Beyond the margins of an image its enlarged plane is neither written nor read.
#include <algorithm>

#include "kernels/affine_resample_math.h"
#include "kernels/cuda_elements.h"

namespace galette {
namespace {

/// Taps and sizes; `taps` are h, g[k] = 2 h[11 - k].
template <typename T>
struct Plan {
  T taps[kWaveletTaps];
  const AffinePath* paths;
  int64_t first_plane, channels, height, width;
  int64_t enlarged_height, enlarged_width, canvas_height, canvas_width;

  /// For planes from `first` on.
  Plan(const AffineResampleCall& call, const AffinePath* all, int64_t first)
      : paths(all),
        first_plane(first),
        channels(call.channels),
        height(call.height),
        width(call.width),
        enlarged_height(enlarged_side(call.height)),
        enlarged_width(enlarged_side(call.width)),
        canvas_height(canvas_side(call.height)),
        canvas_width(canvas_side(call.width)) {
    for (int k = 0; k < kWaveletTaps; ++k) taps[k] = static_cast<T>(call.taps[k]);
  }
  __device__ const AffinePath& path(int64_t plane) const {
    return paths[(first_plane + plane) / channels];
  }
  /// Where the pixels of the image begin in the enlarged planes.
  __device__ int64_t left() const { return 2 * (width - 1); }
  __device__ int64_t top() const { return 2 * (height - 1); }
};

/// Column, row and plane of element i of planes [height, width].
struct Place {
  int64_t x, y, plane;
  __device__ Place(int64_t i, int64_t height, int64_t width)
      : x(i % width), y(i / width % height), plane(i / width / height) {}
};

/// One axis of an image: `size` pixels, extended by the margins of its path.
struct Axis {
  int64_t size, before, after;
  __device__ bool holds(int64_t i) const { return i >= -before && i < size + after; }
  __device__ bool holds_enlarged(int64_t q) const {
    return q >= -2 * before && q < 2 * (size + after);
  }
};
template <typename T>
__device__ Axis axis_x(const Plan<T>& p, const AffinePath& a) {
  return {p.width, a.margins.left, a.margins.right};
}
template <typename T>
__device__ Axis axis_y(const Plan<T>& p, const AffinePath& a) {
  return {p.height, a.margins.top, a.margins.bottom};
}

/// The half of a number that may be negative, rounded down.
__device__ int64_t half(int64_t q) {
  return q >> 1;
}

/// The weight of pixel i of the extended image in e[q].
template <typename T>
__device__ T enlarging_weight(const Plan<T>& p, int64_t q, int64_t i) {
  const int64_t k = 2 * i - q + kHalfTaps;
  return k < 0 || k >= kWaveletTaps ? T(0) : 2 * p.taps[kWaveletTaps - 1 - k];
}

template <typename S, typename T>
__global__ void enlarge(const __grid_constant__ Plan<T> p, const S* image, T* enlarged, int64_t n) {
  for (int64_t index = grid_first(); index < n; index += grid_stride()) {
    const Place at(index, p.enlarged_height, p.enlarged_width);
    const Axis ax = axis_x(p, p.path(at.plane)), ay = axis_y(p, p.path(at.plane));
    const int64_t x = at.x - p.left(), y = at.y - p.top();
    if (!ax.holds_enlarged(x) || !ay.holds_enlarged(y)) continue;
    const S* const plane = image + at.plane * p.height * p.width;
    T sum = 0;
    for (int64_t i = half(y) - 3; i <= half(y) + 3; ++i) {
      if (!ay.holds(i)) continue;
      const S* const row = plane + reflect(i, p.height) * p.width;
      T line = 0;
      for (int64_t j = half(x) - 3; j <= half(x) + 3; ++j) {
        if (ax.holds(j))
          line += enlarging_weight(p, x, j) * static_cast<T>(row[reflect(j, p.width)]);
      }
      sum += enlarging_weight(p, y, i) * line;
    }
    enlarged[index] = sum;
  }
}

/// Sum of the enlarged image's gradient over one pixel of the extended image.
template <typename T>
__device__ T gather_pixel(const Plan<T>& p, const T* plane, const Axis& ax, const Axis& ay,
                          int64_t i, int64_t j) {
  T sum = 0;
  for (int64_t y = 2 * i - 5; y <= 2 * i + 6; ++y) {
    if (!ay.holds_enlarged(y)) continue;
    const T* const row = plane + (y + p.top()) * p.enlarged_width + p.left();
    T line = 0;
    for (int64_t x = 2 * j - 5; x <= 2 * j + 6; ++x)
      if (ax.holds_enlarged(x)) line += enlarging_weight(p, x, j) * row[x];
    sum += enlarging_weight(p, y, i) * line;
  }
  return sum;
}

/// A pixel, or one of the two that reflection makes of it: -i and 2 (size - 1) - i. False when that
/// is the pixel itself or lies beyond the margins.
__device__ bool image_of(const Axis& axis, int64_t pixel, int which, int64_t& i) {
  i = which == 0 ? pixel : (which == 1 ? -pixel : 2 * (axis.size - 1) - pixel);
  return which == 0 || (i != pixel && (i < 0 || i >= axis.size) && axis.holds(i));
}

template <typename S, typename T>
__global__ void enlarge_transpose(const __grid_constant__ Plan<T> p, const T* enlarged, S* image,
                                  int64_t n) {
  for (int64_t index = grid_first(); index < n; index += grid_stride()) {
    const Place at(index, p.height, p.width);
    const Axis ax = axis_x(p, p.path(at.plane)), ay = axis_y(p, p.path(at.plane));
    const T* const plane = enlarged + at.plane * p.enlarged_height * p.enlarged_width;
    T sum = 0;
    for (int v = 0; v < 3; ++v) {
      int64_t i, j;
      if (!image_of(ay, at.y, v, i)) continue;
      for (int u = 0; u < 3; ++u)
        if (image_of(ax, at.x, u, j)) sum += gather_pixel(p, plane, ax, ay, i, j);
    }
    image[index] = static_cast<S>(sum);
  }
}

template <typename T>
__global__ void sample(const __grid_constant__ Plan<T> p, const T* enlarged, T* canvas, int64_t n) {
  for (int64_t index = grid_first(); index < n; index += grid_stride()) {
    const Place at(index, p.canvas_height, p.canvas_width);
    const AffinePath& a = p.path(at.plane);
    const Axis ax = axis_x(p, a), ay = axis_y(p, a);
    const double x =
        a.origin_x + static_cast<double>(at.x) * a.column_x + static_cast<double>(at.y) * a.row_x;
    const double y =
        a.origin_y + static_cast<double>(at.x) * a.column_y + static_cast<double>(at.y) * a.row_y;
    const double left = floor(x), top = floor(y);
    T sum = 0;
    // Compared as real numbers: a place far away may exceed the integers.
    if (left >= static_cast<double>(-2 * ax.before - 1) &&
        left < static_cast<double>(2 * (ax.size + ax.after)) &&
        top >= static_cast<double>(-2 * ay.before - 1) &&
        top < static_cast<double>(2 * (ay.size + ay.after))) {
      const auto q = static_cast<int64_t>(left), r = static_cast<int64_t>(top);
      const T fx = static_cast<T>(x - left), fy = static_cast<T>(y - top);
      const T* const plane = enlarged + at.plane * p.enlarged_height * p.enlarged_width;
      for (int64_t d = 0; d < 4; ++d) {
        const int64_t dx = d % 2, dy = d / 2;
        if (!ax.holds_enlarged(q + dx) || !ay.holds_enlarged(r + dy)) continue;
        const T weight = (dx == 1 ? fx : 1 - fx) * (dy == 1 ? fy : 1 - fy);
        sum += weight * plane[(r + dy + p.top()) * p.enlarged_width + q + dx + p.left()];
      }
    }
    canvas[index] = sum;
  }
}

/// Samples of an axis of the canvas within `reach` of `centre`.
struct Interval {
  int64_t first, last;
  __device__ Interval(double centre, double reach, int64_t size) {
    const double end = static_cast<double>(size - 1);
    first = static_cast<int64_t>(fmin(fmax(ceil(centre - reach), 0.0), end + 1));
    last = static_cast<int64_t>(fmax(fmin(floor(centre + reach), end), -1.0));
  }
};

template <typename T>
__global__ void sample_transpose(const __grid_constant__ Plan<T> p, const T* canvas, T* enlarged,
                                 int64_t n) {
  for (int64_t index = grid_first(); index < n; index += grid_stride()) {
    const Place at(index, p.enlarged_height, p.enlarged_width);
    const AffinePath& a = p.path(at.plane);
    if (!axis_x(p, a).holds_enlarged(at.x - p.left()) ||
        !axis_y(p, a).holds_enlarged(at.y - p.top()))
      continue;
    const double x = static_cast<double>(at.x - p.left()) - a.origin_x;
    const double y = static_cast<double>(at.y - p.top()) - a.origin_y;
    const double det = a.column_x * a.row_y - a.row_x * a.column_y;
    const Interval columns((a.row_y * x - a.row_x * y) / det,
                           (fabs(a.row_y) + fabs(a.row_x)) / fabs(det), p.canvas_width);
    const Interval rows((a.column_x * y - a.column_y * x) / det,
                        (fabs(a.column_x) + fabs(a.column_y)) / fabs(det), p.canvas_height);
    const T* const plane = canvas + at.plane * p.canvas_height * p.canvas_width;
    T sum = 0;
    for (int64_t i = rows.first; i <= rows.last; ++i) {
      for (int64_t j = columns.first; j <= columns.last; ++j) {
        const double u = static_cast<double>(j), v = static_cast<double>(i);
        const double far_x = fabs(u * a.column_x + v * a.row_x - x);
        const double far_y = fabs(u * a.column_y + v * a.row_y - y);
        if (far_x < 1 && far_y < 1)
          sum += static_cast<T>((1 - far_x) * (1 - far_y)) * plane[i * p.canvas_width + j];
      }
    }
    enlarged[index] = sum;
  }
}

template <typename S, typename T>
__global__ void reduce(const __grid_constant__ Plan<T> p, const T* canvas, S* result, int64_t n) {
  for (int64_t index = grid_first(); index < n; index += grid_stride()) {
    const Place at(index, p.height, p.width);
    const T* const first =
        canvas + (at.plane * p.canvas_height + 2 * at.y) * p.canvas_width + 2 * at.x;
    T sum = 0;
    for (int64_t i = 0; i < kWaveletTaps; ++i) {
      T line = 0;
      for (int64_t j = 0; j < kWaveletTaps; ++j) line += p.taps[j] * first[i * p.canvas_width + j];
      sum += p.taps[i] * line;
    }
    result[index] = static_cast<S>(sum);
  }
}

template <typename S, typename T>
__global__ void reduce_transpose(const __grid_constant__ Plan<T> p, const S* result, T* canvas,
                                 int64_t n) {
  for (int64_t index = grid_first(); index < n; index += grid_stride()) {
    const Place at(index, p.canvas_height, p.canvas_width);
    const S* const plane = result + at.plane * p.height * p.width;
    T sum = 0;
    for (int64_t i = at.y % 2; i < kWaveletTaps; i += 2) {
      const int64_t y = (at.y - i) / 2;
      if (at.y < i || y >= p.height) continue;
      T line = 0;
      for (int64_t j = at.x % 2; j < kWaveletTaps; j += 2) {
        const int64_t x = (at.x - j) / 2;
        if (at.x >= j && x < p.width) line += p.taps[j] * static_cast<T>(plane[y * p.width + x]);
      }
      sum += p.taps[i] * line;
    }
    canvas[index] = sum;
  }
}

}  // namespace

void affine_resample_cuda(const AffineResampleCall& call, const AffinePath* paths, bool adjoint,
                          const AffineScratch& scratch, const void* in, void* out, void* stream) {
  const auto on = static_cast<cudaStream_t>(stream);
  with_element_type(call.type, [&](auto zero) {
    using S = decltype(zero);
    using T = arithmetic_t<S>;
    T* const enlarged = static_cast<T*>(scratch.enlarged);
    T* const canvas = static_cast<T*>(scratch.canvas);
    for (int64_t first = 0; first < call.planes; first += scratch.planes) {
      const Plan<T> plan(call, paths, first);
      const int64_t planes = std::min(scratch.planes, call.planes - first);
      const int64_t start = first * call.height * call.width;
      const S* const source = static_cast<const S*>(in) + start;
      S* const target = static_cast<S*>(out) + start;
      const int64_t pixels = planes * call.height * call.width;
      const int64_t large = planes * plan.enlarged_height * plan.enlarged_width;
      const int64_t samples = planes * plan.canvas_height * plan.canvas_width;
      const unsigned few = cuda_blocks(pixels), many = cuda_blocks(large);
      const unsigned some = cuda_blocks(samples);
      if (adjoint) {
        reduce_transpose<<<some, kCudaThreads, 0, on>>>(plan, source, canvas, samples);
        sample_transpose<<<many, kCudaThreads, 0, on>>>(plan, canvas, enlarged, large);
        enlarge_transpose<<<few, kCudaThreads, 0, on>>>(plan, enlarged, target, pixels);
      } else {
        enlarge<<<many, kCudaThreads, 0, on>>>(plan, source, enlarged, large);
        sample<<<some, kCudaThreads, 0, on>>>(plan, enlarged, canvas, samples);
        reduce<<<few, kCudaThreads, 0, on>>>(plan, canvas, target, pixels);
      }
    }
  });
  CUDA_CHECK(cudaGetLastError());
}

}  // namespace galette

// SPDX-License-Identifier: Apache-2.0
// CUDA body of filtered_lrelu: a block makes one tile of results of one plane at a time. It first
// makes the part of v that the tile meets, activated, in shared memory, then filters that. Tiles of
// v overlap and begin at whole bytes of codes, so blocks may write the same byte with the same
// value.
#include "kernels/cuda_elements.h"
#include "kernels/filtered_lrelu_math.h"

namespace galette {
namespace {

constexpr size_t kSharedBytes = 48 * 1024;  // what every device grants without asking

/// Results per tile, and the largest part of v that one meets.
struct Tiles {
  int64_t edge, across, down;
  int64_t v_width, v_height;

  Tiles(const FilteredLreluCall& call, int64_t tile_edge)
      : edge(tile_edge),
        across((call.down_x.out + edge - 1) / edge),
        down((call.down_y.out + edge - 1) / edge),
        v_width((edge - 1) * call.down_x.down + call.down_x.taps),
        v_height((edge - 1) * call.down_y.down + call.down_y.taps + 2 * kCodeRows) {}
  int64_t v_size() const { return v_width * v_height; }
};

/// A stretch of v along one axis.
struct Stretch {
  int64_t begin, end;
  __device__ Stretch(const UpFirDnAxis& a, int64_t first_result, int64_t results) {
    const int64_t last = min(first_result + results, a.out) - 1;
    begin = min(max(first_result * a.down - a.pad, int64_t{0}), a.in);
    end = min(max(last * a.down - a.pad + a.taps, begin), a.in);
  }
  __device__ void align(int64_t unit) {
    begin = begin / unit * unit;
    end = (end + unit - 1) / unit * unit;
  }
  __device__ int64_t size() const { return end - begin; }
};

/// The oriented taps of a stage but for its gain. Tap (ky, kx) is the factor of row ky times tap kx
/// of the row.
template <typename T>
struct Taps {
  const T* values;
  bool is_vector, is_turned;
  T gain;

  explicit Taps(const DeviceTaps& taps)
      : values(static_cast<const T*>(taps.values)),
        is_vector(taps.is_vector),
        is_turned(taps.is_turned),
        gain(static_cast<T>(taps.gain)) {}

  struct Row {
    const T* first;
    int64_t step;
    T factor;
    __device__ T operator[](int64_t kx) const { return first == nullptr ? T(1) : first[kx * step]; }
  };
  __device__ Row row(int64_t ky, int64_t rows, int64_t columns) const {
    if (values == nullptr) return {nullptr, 0, T(1)};
    const int64_t y = is_turned ? rows - 1 - ky : ky;
    const T* const begin = is_vector ? values : values + y * columns;
    return {is_turned ? begin + columns - 1 : begin, is_turned ? -1 : 1,
            is_vector ? values[y] : T(1)};
  }
};

/// One value of v before its activation; its taps meet the samples (plane + bias).
template <typename S, typename T>
__device__ T filter_up(const FilteredLreluCall& call, const Taps<T>& taps, const S* plane, T bias,
                       int64_t my, int64_t mx) {
  const UpFirDnAxis &ay = call.up_y, &ax = call.up_x;
  T sum = 0;
  for (int64_t ky = floor_mod(ay.pad - my, ay.up); ky < ay.taps; ky += ay.up) {
    const int64_t sy = floor_div(my + ky - ay.pad, ay.up);
    if (sy < 0 || sy >= ay.in) continue;
    const auto row = taps.row(ky, ay.taps, ax.taps);
    T part = 0;
    for (int64_t kx = floor_mod(ax.pad - mx, ax.up); kx < ax.taps; kx += ax.up) {
      const int64_t sx = floor_div(mx + kx - ax.pad, ax.up);
      if (sx < 0 || sx >= ax.in) continue;
      part += row[kx] * (static_cast<T>(plane[sy * ax.in + sx]) + bias);
    }
    sum += row.factor * part;
  }
  return taps.gain * sum;
}

template <typename S, typename T>
__device__ T filter_down(const FilteredLreluCall& call, const Taps<T>& taps, const T* v,
                         int64_t v_width, const Stretch& rows, const Stretch& columns, int64_t qy,
                         int64_t qx) {
  const UpFirDnAxis &ay = call.down_y, &ax = call.down_x;
  T sum = 0;
  for (int64_t ky = 0; ky < ay.taps; ++ky) {
    const int64_t my = qy * ay.down + ky - ay.pad;
    if (my < 0 || my >= ay.in) continue;
    const auto row = taps.row(ky, ay.taps, ax.taps);
    T part = 0;
    for (int64_t kx = 0; kx < ax.taps; ++kx) {
      const int64_t mx = qx * ax.down + kx - ax.pad;
      if (mx < 0 || mx >= ax.in) continue;
      part += row[kx] * v[(my - rows.begin) * v_width + mx - columns.begin];
    }
    sum += row.factor * part;
  }
  return taps.gain * sum;
}

/// The tile's part of v into shared memory; each thread makes the four rows of a byte of codes.
template <typename S, typename T>
__device__ void make_v(const FilteredLreluCall& call, const CodeLayout& layout, const Taps<T>& taps,
                       const S* plane, T bias, uint8_t* codes, const Stretch& rows,
                       const Stretch& columns, int64_t v_width, T* v) {
  const T slope = static_cast<T>(call.slope), clamp = static_cast<T>(call.clamp);
  const int64_t n = rows.size() / kCodeRows * columns.size();
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
    const int64_t my = rows.begin + i / columns.size() * kCodeRows;
    const int64_t mx = columns.begin + i % columns.size();
    const int64_t place = my / kCodeRows * layout.columns() + layout.column(mx);
    int packed = call.codes == LreluCodes::read ? codes[place] : 0;
    for (int64_t r = 0; r < kCodeRows; ++r) {
      T value = 0;
      if (my + r < call.up_y.out) value = filter_up(call, taps, plane, bias, my + r, mx);
      if (call.codes == LreluCodes::read) {
        apply_code(value, slope, packed >> (2 * r) & 3);
      } else {
        int code = 0;
        apply_lrelu(value, slope, clamp, code);
        packed |= code << (2 * r);
      }
      v[(my + r - rows.begin) * v_width + mx - columns.begin] = value;
    }
    if (call.codes == LreluCodes::write) codes[place] = static_cast<uint8_t>(packed);
  }
}

template <typename S>
__global__ void filtered_lrelu_kernel(FilteredLreluCall call, CodeLayout layout, Tiles tiles,
                                      Taps<arithmetic_t<S>> up, Taps<arithmetic_t<S>> down,
                                      const S* x, const S* bias, uint8_t* codes, S* y) {
  using T = arithmetic_t<S>;
  extern __shared__ double shared[];
  T* const v = reinterpret_cast<T*>(shared);
  const int64_t count = call.planes * tiles.across * tiles.down;
  for (int64_t tile = blockIdx.x; tile < count; tile += gridDim.x) {
    const int64_t p = tile / (tiles.across * tiles.down);
    const int64_t qy = tile / tiles.across % tiles.down * tiles.edge;
    const int64_t qx = tile % tiles.across * tiles.edge;
    Stretch rows(call.down_y, qy, tiles.edge);
    const Stretch columns(call.down_x, qx, tiles.edge);
    rows.align(kCodeRows);
    const T b = bias == nullptr ? T(0) : static_cast<T>(bias[p % call.channels]);
    make_v(call, layout, up, x + p * call.up_y.in * call.up_x.in, b,
           codes == nullptr ? nullptr : codes + p * layout.rows * layout.columns(), rows, columns,
           tiles.v_width, v);
    __syncthreads();
    for (int64_t i = threadIdx.x; i < tiles.edge * tiles.edge; i += blockDim.x) {
      const int64_t oy = qy + i / tiles.edge, ox = qx + i % tiles.edge;
      if (oy >= call.down_y.out || ox >= call.down_x.out) continue;
      const T sum = filter_down<S, T>(call, down, v, tiles.v_width, rows, columns, oy, ox);
      y[(p * call.down_y.out + oy) * call.down_x.out + ox] = static_cast<S>(sum);
    }
    __syncthreads();
  }
}

/// The largest tiles whose part of v fits into shared memory.
Tiles choose_tiles(const FilteredLreluCall& call) {
  const size_t bytes = call.type == ElementType::kFloat64 ? sizeof(double) : sizeof(float);
  for (int64_t edge = 16; edge >= 1; edge /= 2) {
    const Tiles tiles(call, edge);
    if (static_cast<size_t>(tiles.v_size()) * bytes <= kSharedBytes) return tiles;
  }
  throw std::runtime_error("filtered_lrelu: the down filter is too large for CUDA; give one of " +
                           std::string("fewer than 70 taps along each axis"));
}

}  // namespace

void filtered_lrelu_cuda(const FilteredLreluCall& call, const DeviceTaps& up,
                         const DeviceTaps& down, const void* x, const void* bias, uint8_t* codes,
                         void* y, void* stream) {
  const Tiles tiles = choose_tiles(call);
  const int64_t count = call.planes * tiles.across * tiles.down;
  const auto blocks = static_cast<unsigned>(count < 65536 ? count : 65536);
  with_element_type(call.type, [&](auto zero) {
    using S = decltype(zero);
    using T = arithmetic_t<S>;
    filtered_lrelu_kernel<S>
        <<<blocks, kCudaThreads, tiles.v_size() * sizeof(T), static_cast<cudaStream_t>(stream)>>>(
            call, code_layout(call), tiles, Taps<T>(up), Taps<T>(down), static_cast<const S*>(x),
            static_cast<const S*>(bias), codes, static_cast<S*>(y));
  });
  CUDA_CHECK(cudaGetLastError());
}

}  // namespace galette

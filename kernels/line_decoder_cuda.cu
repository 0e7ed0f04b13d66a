// SPDX-License-Identifier: Apache-2.0
// CUDA bodies of line_decoder. A block takes a run of tiles and keeps all values of a tile in
// shared memory, where there is room for them also the weights and the sums of their gradients.
// Products are by tensor cores: of float16 and bfloat16 with sums in float32, of float32 as TF32
// where that is allowed, else by multiply-adds. Blocks leave their sums of gradients apart; they
// are added in their order: results have the same bits on every GPU of one model.
#include <mma.h>

#include "kernels/cuda_elements.h"
#include "kernels/line_decoder_block.h"

namespace galette {
namespace {

namespace wmma = nvcuda::wmma;

constexpr int kWarpLanes = 32;
constexpr int kBlockThreads = kBlockWarps * kWarpLanes;
constexpr int kTileSizes[] = {64, 32, 16};  // pixels, the best first
constexpr int kTensorCoresOfAllTypes = 8;   // compute capability

struct CudaWorker {
  int warp, lane;
  static constexpr int warps = kBlockWarps, lanes = kWarpLanes;

  __device__ int thread() const { return warp * kWarpLanes + lane; }
  __device__ static constexpr int threads() { return kBlockThreads; }
  __device__ void sync() const { __syncwarp(); }
};

struct CudaBlock {
  using Worker = CudaWorker;
  template <class Phase>
  __device__ __forceinline__ void phase(const Phase& f) {
    f(Worker{static_cast<int>(threadIdx.x) / kWarpLanes,
             static_cast<int>(threadIdx.x) % kWarpLanes});
    __syncthreads();
  }
};

/// What tensor cores multiply: the type of factors, and how many terms at a time.
template <typename S>
struct TensorFactor {
  using type = S;
  static constexpr int kDepth = 16;
  template <class Fragment>
  __device__ static void round(Fragment&) {}
};
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
template <>
struct TensorFactor<float> {
  using type = wmma::precision::tf32;
  static constexpr int kDepth = 8;
  template <class Fragment>
  __device__ static void round(Fragment& f) {
    for (int i = 0; i < f.num_elements; ++i) f.x[i] = wmma::__float_to_tf32(f.x[i]);
  }
};
#endif

/// Sums of products by tensor cores, in float32.
template <typename S>
struct TensorProduct {
  using Storage = S;
  using Number = float;
  using Factor = TensorFactor<S>;

  struct Sum {
    wmma::fragment<wmma::accumulator, kFragment, kFragment, Factor::kDepth, float> v;

    __device__ void clear() { wmma::fill_fragment(v, 0.0F); }
    __device__ void load(const float* from, int stride, int) {
      wmma::load_matrix_sync(v, from, stride, wmma::mem_row_major);
    }
    __device__ void store(float* to, int stride, int) const {
      wmma::store_matrix_sync(to, v, stride, wmma::mem_row_major);
    }
  };

  template <Order Left, Order Right>
  __device__ __forceinline__ static void add(Sum (&sum)[kRowBlocks], int blocks, const S* left,
                                             int left_stride, const S* right, int right_stride,
                                             int depth, int) {
    using Type = typename Factor::type;
    using A =
        wmma::fragment<wmma::matrix_a, kFragment, kFragment, Factor::kDepth, Type, layout<Left>>;
    using B =
        wmma::fragment<wmma::matrix_b, kFragment, kFragment, Factor::kDepth, Type, layout<Right>>;
    for (int k = 0; k < depth; k += Factor::kDepth) {
      B b;
      wmma::load_matrix_sync(b, right + (Right == Order::rows ? k * right_stride : k),
                             right_stride);
      Factor::round(b);
#pragma unroll
      for (int r = 0; r < kRowBlocks; ++r) {
        if (r >= blocks) continue;
        A a;
        const int row = r * kFragment;
        wmma::load_matrix_sync(
            a, left + (Left == Order::rows ? row * left_stride + k : k * left_stride + row),
            left_stride);
        Factor::round(a);
        wmma::mma_sync(sum[r].v, a, b, sum[r].v);
      }
    }
  }

 private:
  template <Order O>
  using layout = std::conditional_t<O == Order::rows, wmma::row_major, wmma::col_major>;
};

/// Whether the code of a product exists for the architecture that is being compiled for.
template <class Product>
struct IsCompiled : std::true_type {};
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
template <>
struct IsCompiled<TensorProduct<float>> : std::false_type {};
template <>
struct IsCompiled<TensorProduct<__nv_bfloat16>> : std::false_type {};
#endif

/// What of a block's memory is shared beside the tile.
struct Staging {
  bool weights, sums;
};

template <typename T>
__device__ void copy(T* to, const T* from, int n) {
  for (int i = static_cast<int>(threadIdx.x); i < n; i += kBlockThreads) to[i] = from[i];
}

/// weights: the packed parameters of all sets; sums [runs, packed], or null.
template <class Product, DecoderPass Pass>
__global__ void __launch_bounds__(kBlockThreads, 1)
    line_decoder_kernel(const __grid_constant__ BlockPlan plan,
                        const BlockTensors<typename Product::Storage> tensors,
                        const typename Product::Storage* weights, typename Product::Number* sums,
                        const Staging staging) {
  if constexpr (IsCompiled<Product>::value) {
    using S = typename Product::Storage;
    using A = typename Product::Number;
    extern __shared__ __align__(128) unsigned char shared[];
    const int64_t run = blockIdx.x;
    BlockMemory<S, A> memory;
    memory.scratch = reinterpret_cast<A*>(shared);
    memory.tile = reinterpret_cast<S*>(memory.scratch + kBlockWarps * kFragment * kFragment);
    S* const own_weights = memory.tile + plan.tile_elements;
    A* const own_sums = reinterpret_cast<A*>(own_weights + (staging.weights ? plan.packed : 0));
    memory.weights = weights + run / plan.runs_per_group * plan.packed;
    A* const left = sums == nullptr ? nullptr : sums + run * plan.packed;
    memory.sums = staging.sums ? own_sums : left;
    if (staging.weights) {
      copy(own_weights, memory.weights, plan.packed);
      memory.weights = own_weights;
      __syncthreads();
    }
    CudaBlock execution;
    DecoderBlock<CudaBlock, Product> block(plan, tensors, memory, execution);
    block.template run<Pass>(plan.first_tile(run), plan.end_tile(run));
    if (staging.sums) copy(left, own_sums, plan.packed);
  }
}

template <typename S>
__global__ void pack_parameters(const __grid_constant__ BlockPlan plan, const S* parameters,
                                S* packed) {
  for (int64_t i = grid_first(); i < plan.groups * plan.packed; i += grid_stride()) {
    const int64_t group = i / plan.packed;
    packed[i] = packed_parameter(plan, parameters + group * plan.parameters,
                                 static_cast<int>(i % plan.packed));
  }
}

template <typename S, typename A>
__global__ void add_runs(const __grid_constant__ BlockPlan plan, const A* sums, S* parameters) {
  for (int64_t i = grid_first(); i < plan.groups * plan.parameters; i += grid_stride()) {
    const int64_t group = i / plan.parameters;
    const A* from = sums + group * plan.runs_per_group * plan.packed +
                    packed_place(plan, static_cast<int>(i % plan.parameters));
    A sum = 0;
    for (int64_t run = 0; run < plan.runs_per_group; ++run, from += plan.packed) sum += *from;
    parameters[i] = static_cast<S>(sum);
  }
}

/// The current device.
struct Device {
  int capability = 0, processors = 0, shared_bytes = 0;

  Device() {
    int device = 0;
    CUDA_CHECK(cudaGetDevice(&device));
    CUDA_CHECK(cudaDeviceGetAttribute(&capability, cudaDevAttrComputeCapabilityMajor, device));
    CUDA_CHECK(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device));
    CUDA_CHECK(
        cudaDeviceGetAttribute(&shared_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
  }
};

/// How a pass is launched.
struct Launch {
  int tile_pixels = 0;  ///< 0: no tile fits into shared memory
  Staging staging{};
  size_t bytes = 0;
};

size_t element_bytes(ElementType type) {
  return type == ElementType::kFloat32 ? sizeof(float) : sizeof(__half);
}

/// The largest tile that fits; the weights are read more often than the sums.
Launch choose_launch(const LineDecoderCall& call, DecoderPass pass, bool sums, int shared_bytes) {
  constexpr size_t kScratch = sizeof(float) * kBlockWarps * kFragment * kFragment;
  for (const int pixels : kTileSizes) {
    const BlockPlan plan = block_plan(call, pass, pixels, 1);
    const size_t tile =
        kScratch + static_cast<size_t>(plan.tile_elements) * element_bytes(call.type);
    const size_t for_weights = static_cast<size_t>(plan.packed) * element_bytes(call.type);
    const size_t for_sums = sums ? static_cast<size_t>(plan.packed) * sizeof(float) : 0;
    for (const Staging s :
         {Staging{true, sums}, Staging{true, false}, Staging{false, sums}, Staging{false, false}}) {
      const size_t bytes = tile + (s.weights ? for_weights : 0) + (s.sums ? for_sums : 0);
      if (bytes <= static_cast<size_t>(shared_bytes)) return {pixels, s, bytes};
    }
  }
  return {};
}

/// The tensors of a pass; null those that it has no use for.
struct PassTensors {
  const void *dy, *e;
  void *y, *ds, *e_dy, *dparameters;
};

template <class Product, DecoderPass Pass>
void launch(const LineDecoderCall& call, const LineDecoderInputs& in, const PassTensors& t,
            const DeviceAllocator& allocate, cudaStream_t stream) {
  using S = typename Product::Storage;
  using A = typename Product::Number;
  const Device device;
  const auto kernel = line_decoder_kernel<Product, Pass>;
  const Launch how = choose_launch(call, Pass, t.dparameters != nullptr, device.shared_bytes);
  if (how.tile_pixels == 0) throw std::runtime_error("line_decoder: too wide for this GPU");
  CUDA_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  static_cast<int>(how.bytes)));
  int resident = 0;
  CUDA_CHECK(
      cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, kernel, kBlockThreads, how.bytes));
  const int64_t most_runs = static_cast<int64_t>(device.processors) * (resident > 0 ? resident : 1);
  const BlockPlan plan = block_plan(call, Pass, how.tile_pixels, most_runs);
  const auto as = [](const void* p) { return static_cast<const S*>(p); };
  const BlockTensors<S> tensors{
      as(in.x), as(in.rows),          as(in.columns),        as(t.dy),
      as(t.e),  static_cast<S*>(t.y), static_cast<S*>(t.ds), static_cast<S*>(t.e_dy)};
  const int64_t weights = plan.groups * plan.packed;
  S* const packed = static_cast<S*>(allocate(static_cast<size_t>(weights) * sizeof(S)));
  A* sums = nullptr;
  if (t.dparameters != nullptr)
    sums = static_cast<A*>(allocate(static_cast<size_t>(plan.runs() * plan.packed) * sizeof(A)));
  pack_parameters<<<cuda_blocks(weights), kCudaThreads, 0, stream>>>(plan, as(in.parameters),
                                                                     packed);
  CUDA_CHECK(cudaGetLastError());
  kernel<<<static_cast<unsigned>(plan.runs()), kBlockThreads, how.bytes, stream>>>(
      plan, tensors, packed, sums, how.staging);
  CUDA_CHECK(cudaGetLastError());
  if (sums == nullptr) return;
  add_runs<<<cuda_blocks(plan.groups * plan.parameters), kCudaThreads, 0, stream>>>(
      plan, sums, static_cast<S*>(t.dparameters));
  CUDA_CHECK(cudaGetLastError());
}

template <DecoderPass Pass>
void run(const LineDecoderCall& call, const LineDecoderInputs& in, const PassTensors& t,
         const DeviceAllocator& allocate, void* stream) {
  const auto on = static_cast<cudaStream_t>(stream);
  const int64_t parameters = call.parameter_sets * call.parameters();
  if (call.samples == 0 || call.pixels() == 0) {
    if (t.dparameters == nullptr || parameters == 0) return;
    CUDA_CHECK(cudaMemsetAsync(t.dparameters, 0,
                               static_cast<size_t>(parameters) * element_bytes(call.type), on));
    return;
  }
  switch (call.type) {
    case ElementType::kFloat16:
      return launch<TensorProduct<__half>, Pass>(call, in, t, allocate, on);
    case ElementType::kBFloat16:
      return launch<TensorProduct<__nv_bfloat16>, Pass>(call, in, t, allocate, on);
    default:
      if (call.tf32 && Device().capability >= kTensorCoresOfAllTypes)
        return launch<TensorProduct<float>, Pass>(call, in, t, allocate, on);
      return launch<PlainProduct<float, float, kWarpLanes>, Pass>(call, in, t, allocate, on);
  }
}

}  // namespace

bool line_decoder_cuda_supports(const LineDecoderCall& call) {
  const Device device;
  if (call.type == ElementType::kFloat64 || !fits_block_plan(call)) return false;
  if (call.type == ElementType::kBFloat16 && device.capability < kTensorCoresOfAllTypes)
    return false;
  if (call.samples == 0) return true;
  return choose_launch(call, DecoderPass::forward, false, device.shared_bytes).tile_pixels > 0 &&
         choose_launch(call, DecoderPass::curvature, true, device.shared_bytes).tile_pixels > 0;
}

void line_decoder_forward_cuda(const LineDecoderCall& call, const LineDecoderInputs& in, void* y,
                               const DeviceAllocator& allocate, void* stream) {
  PassTensors t{};
  t.y = y;
  run<DecoderPass::forward>(call, in, t, allocate, stream);
}

void line_decoder_gradient_cuda(const LineDecoderCall& call, const LineDecoderInputs& in,
                                const void* dy, void* ds, void* dparameters,
                                const DeviceAllocator& allocate, void* stream) {
  PassTensors t{};
  t.dy = dy;
  t.ds = ds;
  t.dparameters = dparameters;
  run<DecoderPass::gradient>(call, in, t, allocate, stream);
}

void line_decoder_curvature_cuda(const LineDecoderCall& call, const LineDecoderInputs& in,
                                 const void* dy, const void* e, void* e_dy, void* dparameters,
                                 const DeviceAllocator& allocate, void* stream) {
  PassTensors t{};
  t.dy = dy;
  t.e = e;
  t.e_dy = e_dy;
  t.dparameters = dparameters;
  run<DecoderPass::curvature>(call, in, t, allocate, stream);
}

}  // namespace galette

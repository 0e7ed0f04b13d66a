// SPDX-License-Identifier: Apache-2.0
// The code of a block of GPU threads, run on the host: against the CPU bodies, for tiles of all
// sizes, warps in either order, memory that holds no numbers at first.
#include "kernels/line_decoder_block.h"

#include <cmath>

#include <gtest/gtest.h>

#include "kernels/line_decoder_call.h"
#include "tests/support/gradcheck.h"

namespace galette {
namespace {

using testing::normal;
using testing::Tensors;

/// A warp of one lane.
struct HostWorker {
  int warp, warps;
  static constexpr int lane = 0, lanes = 1;

  int thread() const { return warp; }
  int threads() const { return warps; }
  void sync() const {}
};

/// Runs the warps of a block one after the other, in either order.
struct HostBlock {
  using Worker = HostWorker;
  bool reversed;

  template <class Phase>
  void phase(const Phase& f) const {
    for (int i = 0; i < kBlockWarps; ++i)
      f(HostWorker{reversed ? kBlockWarps - 1 - i : i, kBlockWarps});
  }
};

/// How blocks share a call out.
struct Cut {
  int tile_pixels;
  int64_t most_runs;
  bool reversed;
};

/// The tensors of a pass, as those of the CPU bodies.
struct Arguments {
  LineDecoderInputs in;
  const void *dy, *e;
  void *result, *dparameters;
};

/// The packed parameters of all sets.
template <typename S>
std::vector<S> packed(const BlockPlan& plan, const void* parameters) {
  std::vector<S> result;
  for (int64_t group = 0; group < plan.groups; ++group)
    for (int i = 0; i < plan.packed; ++i)
      result.push_back(
          packed_parameter(plan, static_cast<const S*>(parameters) + group * plan.parameters, i));
  return result;
}

/// The pass as the device runs it, block after block. A is the type of sums.
template <DecoderPass Pass, typename S, typename A>
void run_on_host(const LineDecoderCall& call, const Cut& cut, const Arguments& t) {
  const BlockPlan plan = block_plan(call, Pass, cut.tile_pixels, cut.most_runs);
  const std::vector<S> weights = packed<S>(plan, t.in.parameters);
  const A nothing = std::numeric_limits<A>::quiet_NaN();
  std::vector<A> sums(plan.runs() * plan.packed, nothing);
  const auto as = [](const void* p) { return static_cast<const S*>(p); };
  S* const result = static_cast<S*>(t.result);
  const BlockTensors<S> tensors{as(t.in.x), as(t.in.rows), as(t.in.columns), as(t.dy),
                                as(t.e),    result,        result,           result};
  for (int64_t run = 0; run < plan.runs(); ++run) {
    std::vector<S> tile(plan.tile_elements, static_cast<S>(nothing));
    std::vector<A> scratch(kBlockWarps * kFragment * kFragment, nothing);
    const BlockMemory<S, A> memory{
        tile.data(), scratch.data(), weights.data() + run / plan.runs_per_group * plan.packed,
        t.dparameters == nullptr ? nullptr : sums.data() + run * plan.packed};
    HostBlock execution{cut.reversed};
    DecoderBlock<HostBlock, PlainProduct<S, A, 1>> block(plan, tensors, memory, execution);
    block.template run<Pass>(plan.first_tile(run), plan.end_tile(run));
  }
  if (t.dparameters == nullptr) return;
  for (int64_t i = 0; i < plan.groups * plan.parameters; ++i) {
    A sum = 0;
    for (int64_t run = 0; run < plan.runs_per_group; ++run)
      sum += sums[(i / plan.parameters * plan.runs_per_group + run) * plan.packed +
                  packed_place(plan, static_cast<int>(i % plan.parameters))];
    static_cast<S*>(t.dparameters)[i] = static_cast<S>(sum);
  }
}

struct Shape {
  int64_t samples, height, width, rank;
  std::vector<int64_t> channels;
  bool has_x = true;
  std::vector<size_t> heads{};  ///< layers before each
  bool per_sample = false;
};

// Channels that fill fragments and others, images that end with a tile and others, several heads on
// a level, parameters of each sample's own.
const Shape kShapes[] = {{2, 9, 11, 8, {32, 64, 128, 64, 32}},
                         {3, 8, 8, 3, {6, 12, 24, 12, 6}, false},
                         {2, 1, 1, 1, {5, 17}},
                         {2, 9, 7, 0, {6, 12, 24, 6}, true, {3, 1, 3, 0}},
                         {2, 7, 8, 0, {32, 128, 128, 64, 64}, true, {0, 2, 4}, true}};
const Cut kCuts[] = {{16, 3, false}, {32, 1, true}, {64, 100, true}};

/// A call and random tensors for it, in float64.
struct Sample {
  LineDecoderCall call;
  at::Tensor x, rows, columns, parameters, dy, e;

  explicit Sample(const Shape& s) {
    rows = normal({s.samples * s.channels[0], s.height, s.rank}, 1);
    columns = normal({s.samples * s.channels[0], s.rank, s.width}, 2);
    const int64_t pixels = s.height * s.width;
    if (s.has_x) x = normal({s.samples, s.channels[0], pixels}, 3);
    std::vector<DecoderLayer> layers;
    std::vector<DecoderHead> heads;
    const auto layer = [&](int64_t in, int64_t out, std::optional<double> clamp) {
      at::Tensor w = normal({out, in}, 4);
      if (s.per_sample) w = w.expand({s.samples, -1, -1});
      return DecoderLayer{w, normal({out}, 5), clamp};
    };
    for (size_t k = 0; k + 1 < s.channels.size(); ++k)
      layers.push_back(
          layer(s.channels[k], s.channels[k + 1], k % 2 == 1 ? std::optional(1.5) : std::nullopt));
    for (const size_t after : s.heads)
      heads.push_back(
          {layer(s.channels[after], 3, after > 0 ? std::optional(1.0) : std::nullopt), after});
    call = line_decoder_call(x.defined() ? std::optional(x) : std::nullopt, rows, columns, layers,
                             heads);
    parameters = normal({call.parameter_sets, call.parameters()}, 6) * 0.2;
    dy = normal({call.samples, call.channels_out(), pixels}, 7);
    e = normal({call.samples, call.channels(0), pixels}, 8);
  }
  /// In another type; every tensor must outlive what points to it.
  Sample to(at::ScalarType type) const {
    Sample result = *this;
    for (at::Tensor* t :
         {&result.x, &result.rows, &result.columns, &result.parameters, &result.dy, &result.e})
      if (t->defined()) *t = t->to(type);
    return result;
  }
  LineDecoderInputs inputs() const {
    return {x.defined() ? x.const_data_ptr() : nullptr, rows.const_data_ptr(),
            columns.const_data_ptr(), parameters.const_data_ptr()};
  }
  at::Tensor like_input() const { return at::full_like(e, std::nan("")); }
  at::Tensor like_output() const { return at::full_like(dy, std::nan("")); }
};

/// {y}, {ds, dparameters}, {e_dy, cotangent of the parameters} by the CPU bodies.
Tensors on_cpu(const Sample& s) {
  const at::Tensor y = s.like_output(), ds = s.like_input(), e_dy = s.like_output();
  const at::Tensor first = at::empty_like(s.parameters), second = at::empty_like(s.parameters);
  line_decoder_forward_cpu(s.call, s.inputs(), y.data_ptr());
  line_decoder_gradient_cpu(s.call, s.inputs(), s.dy.data_ptr(), ds.data_ptr(), first.data_ptr());
  line_decoder_curvature_cpu(s.call, s.inputs(), s.dy.data_ptr(), s.e.data_ptr(), e_dy.data_ptr(),
                             second.data_ptr());
  return {y, ds, first, e_dy, second};
}

template <typename S, typename A>
Tensors in_blocks(const Sample& s, const Cut& cut) {
  const at::Tensor y = s.like_output(), ds = s.like_input(), e_dy = s.like_output();
  const at::Tensor first = at::empty_like(s.parameters), second = at::empty_like(s.parameters);
  const LineDecoderInputs in = s.inputs();
  const void *const dy = s.dy.data_ptr(), *const e = s.e.data_ptr();
  run_on_host<DecoderPass::forward, S, A>(s.call, cut, {in, {}, {}, y.data_ptr(), {}});
  run_on_host<DecoderPass::gradient, S, A>(s.call, cut,
                                           {in, dy, {}, ds.data_ptr(), first.data_ptr()});
  run_on_host<DecoderPass::curvature, S, A>(s.call, cut,
                                            {in, dy, e, e_dy.data_ptr(), second.data_ptr()});
  return {y, ds, first, e_dy, second};
}

void expect_near(const Tensors& ours, const Tensors& expected, double tolerance) {
  for (size_t i = 0; i < expected.size(); ++i) {
    const at::Tensor error = (ours[i].to(at::kDouble) - expected[i]).norm();
    EXPECT_LE(error.item<double>(), tolerance * expected[i].norm().item<double>()) << i;
  }
}

TEST(LineDecoderBlock, EqualsTheCpuBodies) {
  for (const Shape& shape : kShapes) {
    const Sample s(shape);
    const Tensors expected = on_cpu(s);
    for (const Cut& cut : kCuts) expect_near(in_blocks<double, double>(s, cut), expected, 1e-13);
  }
}

TEST(LineDecoderBlock, TheOrderOfWarpsDoesNotMatter) {
  const Sample s = Sample(kShapes[0]).to(at::kFloat);
  const Tensors one = in_blocks<float, float>(s, {32, 2, false});
  const Tensors other = in_blocks<float, float>(s, {32, 2, true});
  for (size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(at::equal(one[i], other[i])) << i;
}

TEST(LineDecoderBlock, GradientsOfParametersAreOptional) {
  const Sample s(kShapes[0]);
  const Tensors expected = on_cpu(s);
  const at::Tensor ds = s.like_input();
  run_on_host<DecoderPass::gradient, double, double>(
      s.call, kCuts[0], {s.inputs(), s.dy.data_ptr(), {}, ds.data_ptr(), {}});
  expect_near({ds}, {expected[1]}, 1e-13);
}

TEST(LineDecoderBlock, SixteenBitsAreSummedInFloat32) {
  const Sample s = Sample(kShapes[0]).to(at::kHalf);
  const Tensors expected = on_cpu(s.to(at::kDouble));
  const Tensors ours = in_blocks<c10::Half, float>(s, kCuts[1]);
  // Values of ten bits after the point; near zero and near a clamp some take another derivative.
  expect_near({ours[0]}, {expected[0]}, 2e-3);
  expect_near(ours, expected, 0.1);
}

/// Two fragments, one below the other, of a product on top of `start`, by all lanes in turn.
template <int Lanes, Order Left, Order Right>
at::Tensor product(const at::Tensor& left, const at::Tensor& right, const at::Tensor& start) {
  using Product = PlainProduct<double, double, Lanes>;
  at::Tensor result = start.clone();
  for (int lane = 0; lane < Lanes; ++lane) {
    typename Product::Sum sum[kRowBlocks];
    for (int r = 0; r < kRowBlocks; ++r)
      sum[r].load(start[r * kFragment].template data_ptr<double>(), kFragment, lane);
    Product::template add<Left, Right>(
        sum, kRowBlocks, left.template data_ptr<double>(), static_cast<int>(left.size(1)),
        right.template data_ptr<double>(), static_cast<int>(right.size(1)), 48, lane);
    for (int r = 0; r < kRowBlocks; ++r)
      sum[r].store(result[r * kFragment].template data_ptr<double>(), kFragment, lane);
  }
  return result;
}

TEST(LineDecoderBlock, TheLanesOfAWarpMakeAProductTogether) {
  const at::Tensor a = normal({32, 48}, 1), b = normal({48, 16}, 2), c = normal({32, 16}, 3);
  const at::Tensor down = a.t().contiguous(), across = b.t().contiguous();
  const at::Tensor expected = c + a.mm(b);
  const auto check = [&](const at::Tensor& ours) {
    EXPECT_TRUE(at::allclose(ours, expected, 1e-12, 1e-12));
  };
  check(product<32, Order::rows, Order::columns>(a, across, c));
  check(product<32, Order::rows, Order::rows>(a, b, c));
  check(product<32, Order::columns, Order::rows>(down, b, c));
  check(product<1, Order::columns, Order::rows>(down, b, c));
}

TEST(LineDecoderBlock, OnlyFittingCallsHavePlans) {
  LineDecoderCall call = Sample(kShapes[0]).call;
  EXPECT_TRUE(fits_block_plan(call));
  call.height = call.width = 100'000;
  EXPECT_FALSE(fits_block_plan(call));
  call.height = call.width = 8;
  call.layers.resize(kMostLayers + 1);
  EXPECT_FALSE(fits_block_plan(call));
}

}  // namespace
}  // namespace galette

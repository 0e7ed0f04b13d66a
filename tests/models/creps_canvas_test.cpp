// SPDX-License-Identifier: Apache-2.0
// A pixel has the same bits in whatever part of the image it is computed, exactly.
#include "models/creps_canvas.h"

#include <gtest/gtest.h>

namespace galette {
namespace {

class CrepsCanvasTest : public ::testing::Test {
 protected:
  CrepsCanvasTest() {
    g_.arena().initialize(SampleRng(3), 0);
    auto generator = at::detail::createCPUGenerator(1);
    ws_ = at::randn({1, g_.num_ws(), 16}, generator, at::TensorOptions(at::kFloat));
  }

  static CrepsConfig config() {
    CrepsConfig c;
    c.z_dim = c.w_dim = 16;
    c.img_resolution = 16;
    c.channel_max = 24;  // not a multiple of a vector's length
    c.biline_channels = 6;
    c.mapping_layers = 1;
    return c;
  }

  at::Tensor render(const PixelAxis& rows, const PixelAxis& columns) const {
    CrepsCanvas canvas(g_, ws_, rows, columns);
    std::vector<at::Tensor> parts;
    for (at::Tensor part = canvas.next_rows(); part.size(1) > 0; part = canvas.next_rows()) {
      EXPECT_LE(part.size(1), CrepsCanvas::kBlock);
      parts.push_back(part);
    }
    return at::cat(parts, 1);
  }

  static PixelAxis axis(int64_t points, int64_t first, int64_t count) {
    PixelAxis result;
    result.points = points, result.first = first, result.count = count;
    return result;
  }

  CrepsGenerator g_{config(), at::kFloat};
  at::Tensor ws_;
};

TEST_F(CrepsCanvasTest, IsTheGeneratorsOwnImageAtItsResolution) {
  const at::Tensor own = g_.synthesize(ws_)[0];
  // Rows and columns are computed apart, so sums may round in another order.
  EXPECT_LT((render(axis(16, 0, 16), axis(16, 0, 16)) - own).abs().max().item<float>(), 1e-5);
}

TEST_F(CrepsCanvasTest, PartsAreTheSamePixelsExactly) {
  constexpr int64_t kHeight = 300, kWidth = 530;
  const at::Tensor whole = render(axis(kHeight, 0, kHeight), axis(kWidth, 0, kWidth));
  ASSERT_EQ(whole.sizes(), at::IntArrayRef({3, kHeight, kWidth}));
  const struct {
    int64_t top, height, left, width;
  } parts[] = {
      {0, 1, 0, 1}, {299, 1, 529, 1}, {250, 20, 200, 320}, {7, 200, 511, 2}, {256, 44, 256, 256}};
  for (const auto& p : parts) {
    const at::Tensor part = render(axis(kHeight, p.top, p.height), axis(kWidth, p.left, p.width));
    EXPECT_TRUE(part.equal(whole.narrow(1, p.top, p.height).narrow(2, p.left, p.width)))
        << p.top << " " << p.left;
  }
}

TEST_F(CrepsCanvasTest, PixelsBeyondTheEndsLeaveTheOthersAlone) {
  const at::Tensor whole = render(axis(20, 0, 20), axis(20, 0, 20));
  const at::Tensor larger = render(axis(20, -5, 30), axis(20, -300, 600));
  EXPECT_TRUE(larger.narrow(1, 5, 20).narrow(2, 300, 20).equal(whole));
  EXPECT_TRUE(larger.isfinite().all().item<bool>());
}

TEST(PixelAxis, CoordinatesReachBothEnds) {
  PixelAxis axis;
  axis.points = 5;
  EXPECT_TRUE(axis.coordinates(-1, 6, at::kDouble)
                  .equal(at::tensor({-0.25, 0.0, 0.25, 0.5, 0.75, 1.0, 1.25}, at::kDouble)));
  axis.from = 2, axis.to = 4;
  EXPECT_TRUE(axis.coordinates(0, 5, at::kDouble)
                  .equal(at::tensor({2.0, 2.5, 3.0, 3.5, 4.0}, at::kDouble)));
  axis.points = 1;
  EXPECT_EQ(axis.coordinates(0, 1, at::kDouble).item<double>(), 2);
}

}  // namespace
}  // namespace galette

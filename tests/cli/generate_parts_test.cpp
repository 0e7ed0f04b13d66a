// SPDX-License-Identifier: Apache-2.0
// What `galette generate` is made of: numbers in texts, plans, latents, and what is refused.
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/generator_file.h"
#include "cli/image_maker.h"
#include "cli/latents.h"
#include "cli/number_text.h"
#include "cli/picture_plan.h"
#include "tests/cli/tiny_networks.h"
#include "tests/support/input_error.h"
#include "tests/support/temp_dir.h"

namespace galette::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(NumberText, Numbers) {
  EXPECT_THAT(parse_numbers("seeds", "0,1,4-6", 9), ElementsAre(0, 1, 4, 5, 6));
  EXPECT_THAT(parse_numbers("seeds", "4294967295", UINT32_MAX), ElementsAre(UINT32_MAX));
  for (const char* text : {"", "1,", ",", "a", "6-4", "1-2-3", "-1", "1.5", "4-", "10", " 1",
                           "0-4294967295", "99999999999999999999"}) {
    const uint32_t most = std::string(text) == "0-4294967295" ? UINT32_MAX : 9;
    EXPECT_THAT(error_of([&] { parse_numbers("seeds", text, most); }), HasSubstr("--seeds="))
        << text;
  }
}

TEST(NumberText, SizesAndPoints) {
  EXPECT_EQ(parse_extent("size", "12x34").width, 12);
  EXPECT_EQ(parse_extent("size", "12,34").height, 34);
  for (const char* text : {"", "12", "12x", "x4", "0x4", "4x-1", "1x2x3", "axb"})
    EXPECT_THAT(error_of([&] { parse_extent("size", text); }), HasSubstr("--size=")) << text;
  EXPECT_THAT(parse_pair("translate", "0.5,-1e-3"), ElementsAre(0.5, -0.001));
  EXPECT_THAT(parse_four("region", "0,0,1,.5"), ElementsAre(0, 0, 1, 0.5));
  for (const char* text : {"", "1", "1,2,3", "1,x", "1,inf", "nan,0", "1,2 "})
    EXPECT_THAT(error_of([&] { parse_pair("translate", text); }), HasSubstr("2 numbers")) << text;
}

TEST(PicturePlan, OnePerSeedSheetsTablesAndFrames) {
  const auto single = plan_pictures({{3, 12345}, {}, {}, {}, {}});
  ASSERT_EQ(single.size(), 2u);
  EXPECT_EQ(single[0].name, "seed0003");
  EXPECT_EQ(single[1].name, "seed12345");

  const auto sheets = plan_pictures({{1, 2, 3, 4, 5, 6, 7}, Extent{3, 2}, {}, {}, {}});
  ASSERT_EQ(sheets.size(), 2u);
  EXPECT_EQ(sheets[1].name, "grid0001");
  EXPECT_EQ(sheets[1].rows(), 2);
  EXPECT_EQ(sheets[1].cells[0]->seed, 7u);
  EXPECT_FALSE(sheets[1].cells[5].has_value());

  const auto table = plan_pictures({{1, 2}, {}, {8, 9}, {0, 3}, {}});
  ASSERT_EQ(table.size(), 1u);
  EXPECT_EQ(table[0].columns, 3);
  ASSERT_EQ(table[0].cells.size(), 9u);
  EXPECT_FALSE(table[0].cells[0].has_value());
  EXPECT_EQ(table[0].cells[2]->seed, 9u);
  EXPECT_EQ(table[0].cells[5]->seed, 1u);
  EXPECT_EQ(table[0].cells[5]->other, 9u);
  EXPECT_THAT(table[0].cells[5]->layers, ElementsAre(0, 3));

  const auto frames = plan_pictures({{1, 2, 3}, {}, {}, {}, 4});
  ASSERT_EQ(frames.size(), 9u);
  EXPECT_EQ(frames[6].name, "frame000006");
  EXPECT_EQ(frames[6].cells[0]->seed, 2u);
  EXPECT_EQ(frames[6].cells[0]->other, 3u);
  EXPECT_EQ(frames[6].cells[0]->amount, 0.5);
  EXPECT_EQ(frames[8].cells[0]->seed, 3u);
}

TEST(PicturePlan, ContradictionsAreRefused) {
  EXPECT_THAT(error_of([] { plan_pictures({{1}, {}, {}, {}, 4}); }), HasSubstr("two --seeds"));
  EXPECT_THAT(error_of([] {
                plan_pictures({{1, 2}, Extent{2, 2}, {}, {}, 4});
              }),
              HasSubstr("only one of them"));
}

TEST(Latents, SeedsAreThoseOfNumPy) {
  const auto g = tiny_generator(kCreps, tiny_args());
  const LatentSource source(*g, std::nullopt, 1);
  // numpy.random.RandomState(7).randn(16)
  const at::Tensor z = at::tensor(
      {1.690525703800356, -0.4659373705408328, 0.0328201636785844, 0.40751628299650783,
       -0.7889230286257386, 0.00206557290594813, -0.0008903858579313628, -1.7547243063454208,
       1.0176580056634932, 0.6004985159195494, -0.6254289739667597, -0.17154826119572117,
       0.5052993741967516, -0.261356415191647, -0.2427490786725466, -1.4532414124907906},
      at::kDouble);
  const at::Tensor w = g->map(z.to(at::kFloat).view({1, 16}), at::zeros({1, 0}));
  EXPECT_TRUE(source.ws({7, 0, 0, {}}).equal(g->broadcast(w)));
}

TEST(Latents, MixturesAndTruncation) {
  const auto g = tiny_generator(kCreps, tiny_args());
  const LatentSource source(*g, std::nullopt, 1);
  const at::Tensor a = source.ws({1, 0, 0, {}}), b = source.ws({2, 0, 0, {}});
  EXPECT_TRUE(source.ws({1, 2, 0.25, {}}).equal(at::lerp(a, b, 0.25)));
  const at::Tensor mixed = source.ws({1, 2, 0, {0, 3}});
  for (int64_t layer = 0; layer < g->num_ws(); ++layer) {
    const at::Tensor& from = layer == 0 || layer == 3 ? b : a;
    EXPECT_TRUE(mixed.select(1, layer).equal(from.select(1, layer))) << layer;
  }
  const at::Tensor average = LatentSource(*g, std::nullopt, 0).ws({1, 0, 0, {}});
  EXPECT_TRUE(average.allclose(at::full_like(average, 0.5)));
}

TEST(Latents, ClassesMustBeThere) {
  const auto plain = tiny_generator(kCreps, tiny_args());
  const auto g = tiny_generator(kCreps, tiny_args({{"c_dim", 3}}));
  const auto refusal = [](const Generator& g, std::optional<int64_t> c) {
    return error_of([&] { LatentSource(g, c, 1); });
  };
  EXPECT_THAT(refusal(*g, std::nullopt), HasSubstr("give a class from 0 to 2"));
  EXPECT_THAT(refusal(*g, 3), HasSubstr("--class=3: the network has classes 0 to 2"));
  EXPECT_EQ(refusal(*plain, 3), "no error") << "only a warning";
  const LatentSource first(*g, 0, 1), second(*g, 1, 1);
  EXPECT_FALSE(first.ws({1, 0, 0, {}}).allclose(second.ws({1, 0, 0, {}})));
  g->w_avg().fill_(NAN);
  EXPECT_THAT(error_of([&] { LatentSource(*g, 0, 0.5); }), HasSubstr("--trunc=0.5"));
}

TEST(ImageMaker, OptionsOfOtherNetworksAreRefused) {
  const auto creps = tiny_generator(kCreps, tiny_args());
  const auto stylegan2 = tiny_generator(kStyleGan2, tiny_args());
  const auto refusal = [](Generator& g, const ImageRequest& r) {
    return error_of([&] { ImageMaker(g, r); });
  };
  ImageRequest r;
  r.translate = {0.5, 0};
  EXPECT_THAT(refusal(*creps, r), HasSubstr("--translate: works with StyleGAN3"));
  EXPECT_THAT(refusal(*stylegan2, r), HasSubstr("--translate: works with StyleGAN3"));
  r = {};
  r.rotate = 10;
  EXPECT_THAT(refusal(*creps, r), HasSubstr("--rotate"));
  r = {};
  r.scale = 2;
  EXPECT_THAT(refusal(*stylegan2, r), HasSubstr("--scale: works with CREPS"));
  r.size = Extent{4, 4};
  EXPECT_THAT(refusal(*creps, r), HasSubstr("--scale, --size"));
  for (const double scale : {0.0, -1.0, 0.06, 1e9}) {
    r = {};
    r.scale = scale;
    EXPECT_THAT(refusal(*creps, r), HasSubstr("--scale=")) << scale;
  }
  r = {};
  r.region = {0.5, 0, 0.5, 1};
  EXPECT_THAT(refusal(*creps, r), HasSubstr("--region: its end 0.5 is not beyond"));
  r.region = {0.501, 0, 0.502, 1};
  EXPECT_THAT(refusal(*creps, r), AllOf(HasSubstr("--region: no pixel"), HasSubstr("--size")));
}

TEST(ImageMaker, ScalesTruncateAndRegionsPickPixels) {
  const auto g = tiny_generator(kCreps, tiny_args());
  const auto layout = [&](std::optional<double> scale,
                          std::optional<std::array<double, 4>> region) {
    ImageRequest r;
    r.scale = scale;
    r.region = region;
    return ImageMaker(*g, r).layout();
  };
  EXPECT_EQ(layout(1.3, {}).width, 20);  // 20.8
  EXPECT_EQ(layout(1.0 / 16, {}).width, 1);
  // Pixel k of 32 lies at k/31.
  EXPECT_EQ(layout(2, {{0, 0, 0.5, 0.5}}).width, 16);
  EXPECT_EQ(layout(2, {{0.5, 0.5, 1, 1}}).height, 16);
  EXPECT_EQ(layout(2, {{-1, 0, 2, 1}}).width, 94);
}

TEST(ImageMaker, LevelsAreTruncatedFrom128) {
  const auto g = tiny_generator(kCreps, tiny_args());
  const ImageMaker maker(*g, {});
  const at::Tensor ws = LatentSource(*g, std::nullopt, 1).ws({1, 0, 0, {}});
  const at::Tensor image = g->synthesize(ws)[0].permute({1, 2, 0}).to(at::kDouble);
  for (const int maximum : {255, 65535}) {
    std::vector<at::Tensor> rows;
    maker.make(ws, 1, maximum, [&](const at::Tensor& part) { rows.push_back(part); });
    const at::Tensor levels = at::cat(rows).to(at::kDouble);
    ASSERT_EQ(levels.sizes(), at::IntArrayRef({16, 16, 3}));
    const double half = maximum / 2.0;
    const at::Tensor exact = (image * half + std::ceil(half)).clamp(0, maximum);
    // Truncated, from a float32 image that is off by a little.
    EXPECT_TRUE(levels.ge(exact - 1.2).logical_and(levels.le(exact + 0.2)).all().item<bool>());
    EXPECT_GT(levels.std(false).item<double>(), 0.01 * maximum);
  }
}

TEST(ImageMaker, NoiseOfStyleGan2) {
  const auto g = tiny_generator(kStyleGan2, tiny_args());
  const at::Tensor ws = LatentSource(*g, std::nullopt, 1).ws({1, 0, 0, {}});
  const auto image = [&](NoiseMode mode, uint32_t seed) {
    ImageRequest r;
    r.noise_mode = mode;
    at::Tensor result;
    ImageMaker(*g, r).make(ws, seed, 255, [&](const at::Tensor& rows) { result = rows; });
    return result;
  };
  EXPECT_TRUE(image(NoiseMode::constant, 1).equal(image(NoiseMode::constant, 2)));
  EXPECT_FALSE(image(NoiseMode::constant, 1).equal(image(NoiseMode::none, 1)));
  EXPECT_FALSE(image(NoiseMode::random, 1).equal(image(NoiseMode::random, 2)));
  EXPECT_TRUE(image(NoiseMode::random, 1).equal(image(NoiseMode::random, 1)));
}

TEST(ImageMaker, StyleGan3IsMovedAndTurned) {
  const auto g = tiny_generator(kStyleGan3, tiny_args());
  const at::Tensor ws = LatentSource(*g, std::nullopt, 1).ws({1, 0, 0, {}});
  const auto image = [&](const ImageRequest& r) {
    at::Tensor result;
    ImageMaker(*g, r).make(ws, 0, 255, [&](const at::Tensor& rows) { result = rows; });
    return result;
  };
  ImageRequest moved, turned;
  moved.translate = {0.25, 0};
  turned.rotate = 30;
  const at::Tensor plain = image({});
  EXPECT_FALSE(image(moved).equal(plain));
  EXPECT_FALSE(image(turned).equal(plain));
  // cos 30, -sin 30: the inverse of what the image undergoes.
  const at::Tensor row = g->arena().find("synthesis.input.transform")[0];
  EXPECT_NEAR(row[0].item<double>(), 0.8660254, 1e-6);
  EXPECT_NEAR(row[1].item<double>(), -0.5, 1e-6);
  EXPECT_TRUE(image({}).equal(plain)) << "nothing of the last request stays";
}

TEST(GeneratorFile, OthersAreRefusedInOneLine) {
  const TempDir dir;
  const auto refusal = [&](const io::NetworkFile& file) {
    io::write_network_file(dir.file("n.h5"), file);
    return error_of([&] { load_generator(dir.file("n.h5")); });
  };
  const io::NetworkFile good = tiny_network_file(kCreps, tiny_args());
  EXPECT_EQ(refusal(good), "no error");
  io::NetworkFile file = good;
  file.networks["G"] = file.networks["G_ema"];
  file.networks.erase("G_ema");
  EXPECT_THAT(refusal(file), HasSubstr("n.h5: has no network G_ema"));
  file = good;
  file.networks["G_ema"].class_name = "os.system";
  EXPECT_THAT(refusal(file), HasSubstr("os.system is no generator"));
  file = good;
  file.networks["G_ema"].init["z_dim"] = "many";
  EXPECT_THAT(refusal(file), HasSubstr("make no sense"));
  file = good;
  file.networks["G_ema"].tensors.erase("mapping.w_avg");
  EXPECT_THAT(refusal(file), HasSubstr("lacks mapping.w_avg"));
  file = good;
  file.networks["G_ema"].tensors["mapping.w_avg"].value = at::zeros({4});
  EXPECT_THAT(refusal(file), HasSubstr("mapping.w_avg has shape [4], its arguments say [16]"));
}

}  // namespace
}  // namespace galette::testing

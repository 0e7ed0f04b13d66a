// SPDX-License-Identifier: Apache-2.0
// `galette bench` at tiny sizes: its JSON is complete and its numbers agree with each other.
#include <cmath>
#include <map>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/cli/program.h"

namespace galette::testing {
namespace {

using ::testing::HasSubstr;

const std::string kTiny = "bench step --cfg=creps --resolution=8 --cbase=32 --cmax=8 --repeat=1 ";

TEST(BenchStep, NumbersAreFiniteAndConsistent) {
  const Outcome o = run_program(1, kTiny + "--batch=8 --batch-gpu=4 --json");
  ASSERT_EQ(o.code, 0) << o.err;
  const nlohmann::json report = nlohmann::json::parse(o.out);
  const nlohmann::json& phases = report.at("phases");
  const std::map<std::string, int> intervals{
      {"Gmain", 1}, {"Greg", 4}, {"Dmain", 1}, {"Dreg", 16}, {"EMA", 1}};
  ASSERT_EQ(phases.size(), intervals.size());
  double iteration = 0;
  for (const auto& [name, interval] : intervals) {
    EXPECT_EQ(phases.at(name).at("interval"), interval) << name;
    const double seconds = phases.at(name).at("seconds");
    EXPECT_TRUE(std::isfinite(seconds) && seconds > 0) << name << ": " << seconds;
    iteration += seconds / interval;
  }
  // Decimal texts of doubles read back exactly; only the order of the sum differs.
  EXPECT_NEAR(report.at("sec_per_kimg"), 1000 * iteration / 8, 1e-9 * 1000 * iteration);
  EXPECT_EQ(report.at("batch_gpu"), 4);
  EXPECT_EQ(report.at("gamma"), 0.0002 * 8 * 8 / 8);
  EXPECT_GE(report.at("threads_per_rank"), 1);
  const double peak = report.at("peak_memory_gb");
  // LibTorch alone takes a tenth of a gigabyte; a thousand would be a wrong unit.
  EXPECT_TRUE(peak > 0.05 && peak < 1000) << peak;
}

TEST(BenchStep, RanksShareTheBatchAndOneSpeaks) {
  const Outcome o = run_program(2, kTiny + "--batch=8");
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("batch 8 (4 at a time on each rank)"));
  EXPECT_THAT(o.out, HasSubstr("2 ranks on host "));
  const size_t first = o.out.find("sec/kimg");
  ASSERT_NE(first, std::string::npos) << o.out;
  EXPECT_EQ(o.out.find("sec/kimg", first + 1), std::string::npos) << o.out;
}

TEST(BenchStep, ChannelsLastInSixteenBits) {
  const std::string step =
      "bench step --cfg=stylegan2 --resolution=16 --cbase=64 --cmax=8 --batch=4 --repeat=1 "
      "--device=cpu --nhwc=1 ";
  const Outcome o = run_program(1, step + "--precision=bf16 --json");
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(nlohmann::json::parse(o.out).at("nhwc"), true);
  const Outcome single = run_program(1, step);
  EXPECT_EQ(single.code, 2);
  EXPECT_THAT(single.complaint(), HasSubstr("--nhwc=true needs layers of 16 bits"));
}

// Pixels take nearly all of the arithmetic at this scale, and their number is known.
TEST(BenchImage, BesideCompositionsThatMakeTheSameImage) {
  const Outcome o = run_program(
      1, "bench image --resolution=16 --cbase=64 --cmax=16 --scale=8 --repeat=1 --json");
  ASSERT_EQ(o.code, 0) << o.err;
  const nlohmann::json report = nlohmann::json::parse(o.out);
  EXPECT_EQ(report.at("cfg"), "creps");
  EXPECT_EQ(report.at("width"), 128);
  EXPECT_EQ(report.at("height"), 128);
  const double b = 32;  // bi-line channels, 2 decoders of b -> 2b -> 4b -> 2b -> b, then refinement
  const double decoders = 2 * (2 + 8 + 8 + 2) * b * b;
  const double refinement = (4 + 16 + 8 + 4) * b * b + 3 * (1 + 4 + 2) * b;
  const double gflop = 2 * 128 * 128 * (decoders + refinement) / 1e9;
  EXPECT_GT(report.at("gflop"), gflop);
  EXPECT_LT(report.at("gflop"), 1.05 * gflop);
  for (const char* name : {"galette", "plain"}) {
    const double seconds = report.at(name).at("seconds"), rate = report.at(name).at("gflop_per_s");
    EXPECT_GT(seconds, 0);
    EXPECT_NEAR(rate * seconds, report.at("gflop"), 1e-9) << name;
  }
  // Sums of up to 128 products in another order: next to a grey level's end it is another level.
  EXPECT_LE(report.at("largest_difference"), 1);
  EXPECT_LT(report.at("differing_share"), 0.001);
  const double peak = report.at("peak_memory_gb");
  EXPECT_TRUE(peak > 0.05 && peak < 1000) << peak;
}

TEST(BenchImage, OtherConfigurationsAndRefusals) {
  const Outcome o = run_program(
      2, "bench image --cfg=stylegan3-r --resolution=16 --cbase=64 --cmax=16 --repeat=1");
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("stylegan3-r at 16x16, cbase 64, cmax 16: an image of 16x16"));
  EXPECT_THAT(o.out, HasSubstr("times faster than plain"));
  const Outcome scale = run_program(1, "bench image --cfg=stylegan2 --resolution=16 --scale=2");
  EXPECT_EQ(scale.code, 2);
  EXPECT_THAT(scale.complaint(), HasSubstr("--scale: works with CREPS networks only"));
  const Outcome side = run_program(1, "bench image --resolution=24");
  EXPECT_EQ(side.code, 2);
  EXPECT_THAT(side.complaint(), HasSubstr("--resolution=24: give a power of two"));
}

TEST(BenchReduce, EachSizeBesideMpiAlone) {
  const Outcome o = run_program(2, "bench reduce --max-size=1 --repeat=1 --json");
  ASSERT_EQ(o.code, 0) << o.err;
  const nlohmann::json report = nlohmann::json::parse(o.out);
  EXPECT_EQ(report.at("ranks"), 2);
  const nlohmann::json& sizes = report.at("sizes");
  ASSERT_EQ(sizes.size(), 6u);  // 1, 4, 16, 64, 256 kB and the largest
  EXPECT_EQ(sizes.front().at("bytes"), 1000);
  EXPECT_EQ(sizes.back().at("bytes"), 1'000'000);
  for (const auto& line : sizes) {
    const double bytes = line.at("bytes"), seconds = line.at("seconds");
    EXPECT_GT(seconds, 0);
    // Decimal texts of doubles read back exactly.
    EXPECT_NEAR(line.at("gb_per_s"), bytes / 1e9 / seconds, 1e-9 * bytes / 1e9 / seconds);
    EXPECT_GT(line.at("share_of_mpi"), 0);
  }
  const nlohmann::json& overlap = report.at("overlap");
  const double pass = overlap.at("backward_seconds"), sum = overlap.at("sum_seconds");
  EXPECT_GT(pass, 0);
  EXPECT_GT(sum, 0);
  EXPECT_NEAR(overlap.at("hidden_share"),
              1 - (overlap.at("together_seconds").get<double>() - pass) / sum, 1e-9);
}

TEST(BenchReduce, RefusesSizesThatItCannotMeasure) {
  const Outcome o = run_program(1, "bench reduce --max-size=0");
  EXPECT_EQ(o.code, 2);
  EXPECT_THAT(o.err, HasSubstr("--max-size"));
}

TEST(BenchKernels, OperatorsDoWhatTheyTakeThePlaceOf) {
  const Outcome o = run_program(1, "bench kernels --batch=1 --repeat=1 --json");
  ASSERT_EQ(o.code, 0) << o.err;
  const nlohmann::json report = nlohmann::json::parse(o.out);
  EXPECT_GT(report.at("product_gflop_per_s"), 0);
  EXPECT_GT(report.at("copy_gb_per_s"), 0);
  std::map<std::string, int> passes;
  for (const nlohmann::json& line : report.at("results")) {
    ++passes[line.at("op")];
    // Sums of up to 4096 products in float32, in another order.
    EXPECT_LT(line.at("difference"), 1e-4) << line;
    EXPECT_GT(line.at("galette").at("gb_per_s"), 0) << line;
    EXPECT_GT(line.at("plain").at("gflop_per_s"), 0) << line;
  }
  const std::map<std::string, int> expected{
      {"bias_act", 2},   {"upfirdn2d", 2}, {"line_decoder", 2}, {"filtered_lrelu", 2},
      {"conv2d_3x3", 2}, {"adam_step", 1}, {"ema_update", 1}};
  EXPECT_EQ(passes, expected);
}

TEST(BenchKernels, AnUnknownKernelPathIsRefused) {
  const Outcome o = run_program(1, "bench kernels --repeat=1", "GALETTE_KERNELS=slow");
  EXPECT_EQ(o.code, 2) << o.out;
  EXPECT_THAT(o.complaint(),
              HasSubstr("GALETTE_KERNELS=slow: give fused or plain, or leave it unset"));
}

TEST(BenchKernels, AnUnknownInstructionSetIsRefused) {
  const Outcome o = run_program(1, "bench kernels --repeat=1", "GALETTE_CPU=mmx");
  EXPECT_EQ(o.code, 2) << o.out;
  EXPECT_THAT(o.complaint(), HasSubstr("GALETTE_CPU=mmx: give baseline, avx2 or avx512"));
}

TEST(BenchStep, WrongOptionsAreRefused) {
  const auto expect_refusal = [](const std::string& arguments, const std::string& complaint) {
    const Outcome o = run_program(1, arguments);
    EXPECT_EQ(o.code, 2) << o.out;
    EXPECT_THAT(o.complaint(), HasSubstr(complaint));
  };
  expect_refusal("bench step --cfg=creps --resolution=24 --batch=4", "--resolution=24");
  expect_refusal("bench step --cfg=none --resolution=8 --batch=4", "--cfg");
  expect_refusal("bench step --cfg=creps --resolution=8 --batch=6", "minibatch-std group");
}

}  // namespace
}  // namespace galette::testing

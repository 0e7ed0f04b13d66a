// SPDX-License-Identifier: Apache-2.0
#include "base/option_table.h"

#include <cstdlib>
#include <fstream>

#include <CLI/CLI.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/input_error.h"
#include "tests/support/temp_dir.h"

namespace galette {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// A table with one option of each kind.
struct Options {
  int64_t batch = 16;
  std::optional<int64_t> batch_gpu;
  double gamma = 0.5;
  std::optional<double> glr;
  bool mirror = false;
  bool dry_run = false;
  std::string cfg = "creps";
  std::vector<std::string> metrics;
  OptionTable table;

  Options() {
    table.add("batch", Defines::run, batch, "total batch", {1, 4096});
    table.add("batch-gpu", Defines::nothing, batch_gpu, "micro-batch", {1})
        .default_text("batch / ranks");
    table.add("gamma", Defines::run, gamma, "R1 weight", {0});
    table.add("glr", Defines::run, glr, "learning rate", {0});
    table.add("mirror", Defines::run, mirror, "x-flips");
    table.add_flag("dry-run", dry_run, "stop early").alias("-n");
    table.add("cfg", Defines::run, cfg, "configuration", {"creps", "stylegan2"});
    table.add_list("metrics", Defines::nothing, metrics, "metrics", {"fid50k", "kid50k"});
  }

  void parse(const std::string& line) {
    CLI::App app;
    table.add_to(app);
    app.parse(line);
  }
};

std::string error_of(const std::string& line) {
  Options options;
  return galette::testing::error_of([&] { options.parse(line); });
}

TEST(OptionTable, BindsValuesOfEveryKind) {
  Options o;
  o.parse(
      "--batch=32 --batch-gpu 8 --gamma=1e-2 --glr=0.002 --mirror=yes --cfg stylegan2 "
      "--metrics=fid50k,kid50k -n");
  EXPECT_EQ(o.batch, 32);
  EXPECT_EQ(o.batch_gpu, 8);
  EXPECT_EQ(o.gamma, 0.01);
  EXPECT_EQ(o.glr, 0.002);
  EXPECT_TRUE(o.mirror);
  EXPECT_TRUE(o.dry_run);
  EXPECT_EQ(o.cfg, "stylegan2");
  EXPECT_THAT(o.metrics, ElementsAre("fid50k", "kid50k"));
}

TEST(OptionTable, KeepsDefaultsOfOptionsThatAreNotGiven) {
  Options o;
  o.parse("--mirror=0 --metrics=none");
  EXPECT_EQ(o.batch, 16);
  EXPECT_FALSE(o.batch_gpu.has_value());
  EXPECT_FALSE(o.dry_run);
  EXPECT_TRUE(o.metrics.empty());
}

TEST(OptionTable, TheLastOfRepeatedOptionsCounts) {
  Options o;
  o.parse("--batch=32 --batch=64");
  EXPECT_EQ(o.batch, 64);
}

TEST(OptionTable, BooleansInAllForms) {
  for (const char* yes : {"1", "true", "TRUE", "yes", "Yes"}) {
    Options o;
    o.parse(std::string("--mirror=") + yes);
    EXPECT_TRUE(o.mirror) << yes;
  }
  for (const char* no : {"0", "false", "No"}) {
    Options o;
    o.mirror = true;
    o.parse(std::string("--mirror=") + no);
    EXPECT_FALSE(o.mirror) << no;
  }
}

TEST(OptionTable, BadValuesNameTheOptionAndWhatIsAllowed) {
  EXPECT_EQ(error_of("--batch=0"), "--batch=0: must be 1 to 4096");
  EXPECT_EQ(error_of("--batch=5000"), "--batch=5000: must be 1 to 4096");
  EXPECT_EQ(error_of("--batch=4x"), "--batch=4x: not an integer");
  EXPECT_EQ(error_of("--batch=4.5"), "--batch=4.5: not an integer");
  EXPECT_EQ(error_of("--batch=99999999999999999999"),
            "--batch=99999999999999999999: not an integer");
  EXPECT_EQ(error_of("--gamma=-1"), "--gamma=-1: must be >= 0");
  EXPECT_EQ(error_of("--gamma=nan"), "--gamma=nan: not a number");
  EXPECT_EQ(error_of("--mirror=maybe"),
            "--mirror=maybe: must be one of 0, 1, true, false, yes, no");
  EXPECT_EQ(error_of("--cfg=biggan"), "--cfg=biggan: 'biggan' is not one of creps, stylegan2");
  EXPECT_EQ(error_of("--metrics=fid50k,foo"),
            "--metrics=fid50k,foo: 'foo' is not one of fid50k, kid50k");
}

TEST(OptionTable, UnknownOptionsAreErrors) {
  EXPECT_THROW(Options().parse("--batch_gpu=4"), CLI::ParseError);
  EXPECT_THROW(Options().parse("--gama=4"), CLI::ParseError);
}

TEST(OptionTable, HelpShowsDefaultsAndRanges) {
  Options o;
  CLI::App app;
  o.table.add_to(app);
  const std::string help = app.help();
  EXPECT_THAT(help, HasSubstr("INT 1 to 4096"));
  EXPECT_THAT(help, HasSubstr("total batch (default: 16)"));
  EXPECT_THAT(help, HasSubstr("micro-batch (default: batch / ranks)"));
  EXPECT_THAT(help, HasSubstr("-n,--dry-run"));
  EXPECT_THAT(help, HasSubstr("creps|stylegan2"));
}

TEST(OptionTable, JsonKeepsOrderAndTypes) {
  Options o;
  o.parse("--metrics=kid50k");
  EXPECT_EQ(o.table.to_json().dump(),
            R"({"batch":16,"batch-gpu":null,"gamma":0.5,"glr":null,"mirror":false,)"
            R"("cfg":"creps","metrics":["kid50k"]})");
}

TEST(OptionTable, ComparesOnlyWhatDefinesTheRun) {
  Options there;
  Options here;
  here.parse("--batch=32 --batch-gpu=4 --metrics=kid50k --mirror=1");
  EXPECT_THAT(here.table.differences(there.table.to_json()),
              ElementsAre("--batch (16 there, 32 here)", "--mirror (false there, true here)"));
  EXPECT_THAT(there.table.differences(there.table.to_json()), ElementsAre());
}

TEST(OptionTable, AnOptionThatTheOtherRunDidNotKnowHadItsDefault) {
  Options o;
  auto there = o.table.to_json();
  there.erase("gamma");
  EXPECT_THAT(o.table.differences(there), ElementsAre());
  o.gamma = 2;
  EXPECT_THAT(o.table.differences(there), ElementsAre("--gamma (0.5 there, 2 here)"));
}

/// The same table, completed from all sources.
struct FullOptions : Options {
  std::string config;
  std::optional<double> decay = 0.5;
  FullOptions() {
    table.add("seed", Defines::run, seed, "seed").required();
    table.add("config", Defines::nothing, config, "file");
    table.add_or_auto("decay", Defines::run, decay, "decay", {0});
  }
  int64_t seed = 0;

  void finish(const std::string& line) {
    CLI::App app;
    table.add_to(app, Sources::environment_and_file);
    app.parse(line);
    table.finish("config");
  }
};

std::string finish_error(const std::string& line) {
  FullOptions options;
  return galette::testing::error_of([&] { options.finish(line); });
}

std::string write(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
  return path;
}

struct EnvironmentVariable {
  EnvironmentVariable(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  ~EnvironmentVariable() { unsetenv(name_); }
  const char* name_;
};

TEST(OptionSources, TheFileYieldsToTheEnvironmentAndThatToTheCommandLine) {
  const galette::testing::TempDir dir;
  const std::string file = write(dir.file("run.toml"),
                                 "# A comment\nbatch = 8\nbatch-gpu = 2\ngamma = 0.25\n"
                                 "mirror = true\ncfg = \"stylegan2\"\nseed = 5\n"
                                 "metrics = [\"fid50k\", \"kid50k\"]\ndecay = \"auto\"\n");
  const EnvironmentVariable batch("GALETTE_BATCH", "16"), micro("GALETTE_BATCH_GPU", "4");
  FullOptions o;
  o.finish("--batch=32 --config=" + file);
  EXPECT_EQ(o.batch, 32);
  EXPECT_EQ(o.batch_gpu, 4);
  EXPECT_EQ(o.gamma, 0.25);
  EXPECT_TRUE(o.mirror);
  EXPECT_EQ(o.cfg, "stylegan2");
  EXPECT_EQ(o.seed, 5);
  EXPECT_THAT(o.metrics, ElementsAre("fid50k", "kid50k"));
  EXPECT_FALSE(o.decay.has_value());
  EXPECT_TRUE(o.table.is_given("gamma"));
  EXPECT_FALSE(o.table.is_given("glr"));
}

TEST(OptionSources, ErrorsNameThePlace) {
  const galette::testing::TempDir dir;
  const auto in_file = [&](const std::string& text) {
    return finish_error("--seed=1 --config=" + write(dir.file("bad.toml"), text));
  };
  EXPECT_THAT(in_file("batch = 8\ncolour = 3\n"),
              AllOf(HasSubstr("bad.toml:2"), HasSubstr("there is no option 'colour'")));
  EXPECT_THAT(in_file("\nbatch = 0\n"),
              AllOf(HasSubstr("--batch=0: must be 1 to 4096"), HasSubstr("bad.toml:2")));
  EXPECT_THAT(in_file("batch = = 3"), AllOf(HasSubstr("bad.toml:1"), HasSubstr("is not TOML")));
  EXPECT_THAT(in_file("[train]\nbatch = 3"), HasSubstr("there is no option 'train'"));
  EXPECT_EQ(finish_error("--seed=1 --config=/no/run.toml"), "--config=/no/run.toml: no such file");
  const EnvironmentVariable batch("GALETTE_BATCH", "many");
  EXPECT_EQ(finish_error("--seed=1"),
            "--batch=many: not an integer (from the environment variable GALETTE_BATCH)");
}

TEST(OptionSources, RequiredOptionsMayComeFromAnySource) {
  EXPECT_EQ(finish_error(""),
            "--seed is required: give it on the command line, as GALETTE_SEED, or in the file of "
            "--config");
  const EnvironmentVariable seed("GALETTE_SEED", "3");
  EXPECT_EQ(finish_error(""), "no error");
}

}  // namespace
}  // namespace galette

// SPDX-License-Identifier: Apache-2.0
// What the program tells about its commands: the manual page, completions of bash and zsh, and that
// help texts have one style.
#include <cctype>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/file_util.h"
#include "tests/cli/program.h"
#include "tests/support/temp_dir.h"

namespace galette::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string contents(const std::string& path) {
  const std::vector<uint8_t> bytes = io::read_file(path);
  return {bytes.begin(), bytes.end()};
}

bool has_program(const std::string& name) {
  return std::system(("command -v " + name + " > /dev/null").c_str()) == 0;
}

/// Standard output and errors of a shell command.
std::string output_of(const std::string& command) {
  const TempDir dir;
  std::ofstream(dir.file("script")) << command;
  const int status = std::system(
      ("bash --norc " + dir.file("script") + " > " + dir.file("out") + " 2>&1 < /dev/null")
          .c_str());
  EXPECT_EQ(status, 0) << command;
  return contents(dir.file("out"));
}

/// The program itself, without mpirun: these commands need no MPI.
std::string printed(const std::string& arguments) {
  return output_of(fmt::format("{} {} {}", clean_environment(), GALETTE_PROGRAM, arguments));
}

TEST(ManPage, HasAllCommandsAndOptions) {
  const std::string page = printed("man");
  for (const char* command : {"train", "generate", "convert", "bench step", "completion"})
    EXPECT_THAT(page, HasSubstr(fmt::format(".SS \"galette {}\"", command)));
  EXPECT_THAT(page, AllOf(HasSubstr("\n\\fB\\-\\-batch\\-gpu\\fR=\\fIINT >= 1\\fR\n"),
                          HasSubstr("(default: batch / ranks)"),
                          HasSubstr("\\fB\\-n\\fR, \\fB\\-\\-dry\\-run\\fR\n")));
  if (!has_program("groff")) GTEST_SKIP() << "NOT TESTED: warnings of groff, which is not there";
  EXPECT_THAT(output_of(fmt::format("{} {} man | groff -man -ww -Tutf8 -z", clean_environment(),
                                    GALETTE_PROGRAM)),
              IsEmpty());
}

TEST(ManPage, OptionsAreDescribedInOneStyle) {
  std::istringstream page(printed("man"));
  int options = 0;
  for (std::string line, before; std::getline(page, line); before = line) {
    if (!before.starts_with("\\fB\\-") || line.empty()) continue;
    ++options;
    // Lower case, but for names: CREPS, N, StyleGAN2, Slurm.
    const bool is_name = line.size() > 1 && (!std::islower(line[1]) || line.starts_with("GiB") ||
                                             line.starts_with("Style"));
    EXPECT_TRUE(!std::isupper(line[0]) || is_name) << before << "\n" << line;
  }
  EXPECT_GT(options, 100);
}

class Completion : public ::testing::Test {
 protected:
  void SetUp() override { io::write_file(dir_.file("galette"), bytes(printed("completion bash"))); }

  static std::vector<uint8_t> bytes(const std::string& text) { return {text.begin(), text.end()}; }

  /// What bash offers for a command line whose words are given as bash splits them.
  std::string offered(const std::string& words) const {
    return output_of(fmt::format(
        "source {}\nCOMP_WORDS=({})\nCOMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n_galette\n"
        "echo \"${{COMPREPLY[*]}}\"",
        dir_.file("galette"), words));
  }

  TempDir dir_;
};

TEST_F(Completion, OffersCommandsOptionsAndValues) {
  EXPECT_EQ(offered("galette tra"), "train\n");
  EXPECT_THAT(offered("galette ''"), AllOf(HasSubstr("bench"), HasSubstr("generate")));
  EXPECT_EQ(offered("galette bench s"), "step\n");
  EXPECT_EQ(offered("galette bench step --rep"), "--repeat=\n");
  EXPECT_EQ(offered("galette train --cf"), "--cfg=\n");
  EXPECT_EQ(offered("galette train --dry"), "--dry-run\n");
  EXPECT_EQ(offered("galette train --cfg = stylegan3"), "stylegan3-t stylegan3-r\n");
  EXPECT_EQ(offered("galette train --aug ="), "noaug ada fixed\n");
  EXPECT_EQ(offered("galette train --aug no"), "noaug\n");
  EXPECT_EQ(offered("galette train --dry-run --cfg = creps --mirr"), "--mirror=\n");
  EXPECT_EQ(offered("galette completion z"), "zsh\n");
  // A command inside a command.
  EXPECT_EQ(offered("galette job --nodes = 2 -- train --cf"), "--cfg=\n");
  // Names of files are left to bash.
  EXPECT_EQ(offered("galette info ''"), "\n");
  EXPECT_EQ(offered("galette train --data = x"), "\n");
  EXPECT_EQ(offered("galette train --flour"), "\n");
}

TEST_F(Completion, IsRegisteredInBash) {
  EXPECT_EQ(output_of("source " + dir_.file("galette") + "\ncomplete -p galette"),
            "complete -o default -F _galette galette\n");
}

TEST_F(Completion, OtherShells) {
  EXPECT_THAT(printed("completion zsh"),
              AllOf(HasSubstr("#compdef galette"), HasSubstr("'train:Trains")));
  const Outcome o = run_program(1, "completion fish");
  EXPECT_EQ(o.code, 2);
  EXPECT_EQ(o.complaint(), "completion fish: give bash or zsh\n");
  if (!has_program("zsh")) GTEST_SKIP() << "NOT TESTED: the syntax for zsh, which is not there";
  EXPECT_THAT(output_of(fmt::format("{} {} completion zsh > {} && zsh -n {}", clean_environment(),
                                    GALETTE_PROGRAM, dir_.file("_galette"), dir_.file("_galette"))),
              IsEmpty());
}

}  // namespace
}  // namespace galette::testing

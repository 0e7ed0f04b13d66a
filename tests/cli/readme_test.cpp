// SPDX-License-Identifier: Apache-2.0
// Examples of the README for the commands that use a trained network, run as they stand there, on a
// tiny network and with few frames, images and steps.
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "io/image_codec.h"
#include "tests/cli/program.h"
#include "tests/cli/tiny_networks.h"
#include "tests/support/temp_dir.h"

namespace galette::testing {
namespace {

namespace fs = std::filesystem;

struct Example {
  int ranks = 1;
  std::string arguments;
};

/// The indented lines of a section that start the program.
std::vector<Example> examples(const std::string& section) {
  constexpr const char *kRanks = "    mpirun -n ", *kProgram = "galette ";
  std::ifstream readme(GALETTE_TEST_DATA "/../README.md");
  std::vector<Example> found;
  bool inside = false;
  for (std::string line; std::getline(readme, line);) {
    if (line.starts_with("## ")) inside = line == "## " + section;
    const size_t program = line.find(kProgram);
    if (!inside || !line.starts_with("    ") || program == std::string::npos) continue;
    Example example{1, line.substr(program + std::string(kProgram).size())};
    if (line.starts_with(kRanks))
      example.ranks = std::stoi(line.substr(std::string(kRanks).size()));
    found.push_back(example);
  }
  return found;
}

class Readme : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::current_path(dir_.path());
    write_tiny_network("network-snapshot-000200.h5");
    io::Image photo(40, 30, 3);
    for (size_t i = 0; i < photo.pixels.size(); ++i) photo.pixels[i] = static_cast<uint8_t>(i);
    io::write_png("photo.png", photo);
    fs::create_directory("photos");
    for (const char* name : {"photos/1.png", "photos/2.png"}) {
      io::write_png(name, io::Image(16, 16, 3));
    }
    run({1, "dataset --source=photos --dest=emoji.h5"}, "");
  }
  void TearDown() override { fs::current_path(start_); }

  static void run(const Example& example, const std::string& less) {
    const Outcome o = run_program(example.ranks, example.arguments + less);
    EXPECT_EQ(o.code, 0) << example.arguments << "\n" << o.err;
  }
  /// The last of repeated options counts.
  static void run_all(const std::string& section, size_t count, const std::string& command,
                      const std::string& less) {
    const std::vector<Example> all = examples(section);
    ASSERT_EQ(all.size(), count);
    for (const Example& example : all)
      run(example, example.arguments.starts_with(command) ? less : "");
  }

  fs::path start_ = fs::current_path();
  TempDir dir_;
};

TEST_F(Readme, MakeImages) {
  run_all("Make images", 4, "generate", " --seeds=0-1");
  for (const char* name :
       {"out/seed0001.png", "large/seed0000.png", "sheet/grid0000.jpg", "many/seed0001.png"}) {
    EXPECT_TRUE(fs::exists(name)) << name;
  }
}

TEST_F(Readme, MakeVideos) {
  run_all("Make videos", 3, "video", " --w-frames=1 --scale=1");
  for (const char* name : {"walk.mp4", "grid.mp4", "zoom.mp4"}) EXPECT_TRUE(fs::exists(name));
}

TEST_F(Readme, CompareSpectra) {
  run_all("Compare spectra", 5, "spectra calc --source=network", " --num=5");
  for (const char* name : {"made.png", "slices.svg"}) EXPECT_TRUE(fs::exists(name));
}

TEST_F(Readme, LookAtRuns) {
  for (const std::string name : {"runs/cats", "runs/faces"}) {
    fs::create_directories(name);
    std::ofstream(name + "/log.txt") << "Training for 200 kimg...\n";
  }
  run_all("Look at runs", 2, "report", "");
  for (const char* name : {"cats.html", "both.html"}) EXPECT_TRUE(fs::exists(name));
}

TEST_F(Readme, FindTheLatentsOfImages) {
  run_all("Find the latents of images", 2, "project", " --num-steps=3");
  for (const char* name : {"projected/proj.mp4", "again/proj00.png"}) EXPECT_TRUE(fs::exists(name));
}

}  // namespace
}  // namespace galette::testing

// SPDX-License-Identifier: Apache-2.0
// Examples of the README for the commands that use a trained network, run as they stand there, on a
// tiny network and with few frames, images and steps.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>

#include <gtest/gtest.h>
#include <mpi.h>

#include "io/checkpoint.h"
#include "io/image_codec.h"
#include "io/network_exchange.h"
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

/// A line, with those that continue it after a backslash.
bool read_command(std::istream& in, std::string& line) {
  if (!std::getline(in, line)) return false;
  for (std::string next; line.ends_with('\\') && std::getline(in, next);) {
    line.pop_back();
    line += next;
  }
  return true;
}

/// The indented lines of a section that start the program.
std::vector<Example> examples(const std::string& section) {
  constexpr const char *kRanks = "    mpirun -n ", *kProgram = "galette ";
  std::ifstream readme(GALETTE_TEST_DATA "/../README.md");
  std::vector<Example> found;
  bool inside = false;
  for (std::string line; read_command(readme, line);) {
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
    const Outcome o = run_program(example.ranks, example.arguments + less, "", 300);
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

/// Twelve images of each metric; eqt and eqr take a StyleGAN3 network.
TEST_F(Readme, Metrics) {
  const std::string python = GALETTE_TEST_DATA "/../.deps/venv/bin/python";
  const std::string make = python + " " GALETTE_TEST_DATA "/metrics/make_inception.py .";
  if (std::system((python + " -c 'import h5py, pytorch_fid, torch' 2> /dev/null").c_str()) != 0)
    GTEST_SKIP() << "NOT TESTED: no pytorch-fid in .deps/venv, which makes the weights";
  ASSERT_EQ(std::system(make.c_str()), 0);
  fs::copy("inception.pth", "weights.pth");
  fs::rename("inception.pth", "pt_inception-2015-12-05-6726825d.pth");
  fs::create_directories("runs/cats");
  write_tiny_network("runs/cats/network-snapshot-000200.h5");
  fs::create_directory("out");
  fs::create_directory("big");
  for (int i = 0; i < 12; ++i) {
    for (const int side : {16, 32}) {
      io::Image image(side, side, 3);
      for (size_t k = 0; k < image.pixels.size(); ++k)
        image.pixels[k] = static_cast<uint8_t>(k * static_cast<size_t>(i + 1));
      io::write_png((side == 16 ? "out/" : "big/") + std::to_string(i) + ".png", image);
    }
  }
  for (const char* set : {"out --dest=cats.h5", "out --dest=dogs.h5", "big --dest=cats512.h5"})
    run({1, std::string("dataset --source=") + set}, "");

  const std::vector<Example> all = examples("Metrics");
  ASSERT_EQ(all.size(), 7u);
  for (const Example& example : all) {
    if (example.arguments.starts_with("train ")) continue;
    const std::string few = std::regex_replace(example.arguments, std::regex("[0-9]+k"), "12");
    const bool moves = few.find("eqt") != std::string::npos;
    if (moves) write_tiny_network("network-snapshot-000200.h5", kStyleGan3);
    run({example.ranks, few}, "");
    if (moves) write_tiny_network("network-snapshot-000200.h5");
  }
}

TEST_F(Readme, LookIntoFilesAndConvertNetworks) {
  io::CheckpointContent content;
  content.arrays = {{"g", at::ones({6}), {{"G/a.weight", {2, 3}, 0}}}};
  content.state = {{"iteration", 12500}};
  io::write_checkpoint("checkpoint-000012500.h5", content, MPI_COMM_SELF);
  io::write_safetensors("n", io::to_safetensors(tiny_network_file(kStyleGan2, tiny_args())));
  ASSERT_EQ(std::system("python3 -I -S " GALETTE_TEST_DATA
                        "/io/make_pickle.py n stylegan2-ffhq-256x256.pkl 4"),
            0);
  run_all("Look into files, and convert networks", 6, "", "");
  for (const char* name : {"cats.safetensors", "ffhq.h5", "cats.pth", "cats.onnx"})
    EXPECT_TRUE(fs::exists(name)) << name;
}

}  // namespace
}  // namespace galette::testing

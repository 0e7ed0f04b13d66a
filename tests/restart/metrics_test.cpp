// SPDX-License-Identifier: Apache-2.0
// Metrics of a run: a line per snapshot, each once whatever stops the run, and the best checkpoint
// outlives the others.
#include <csignal>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/exit_code.h"
#include "io/checkpoint.h"
#include "io/hdf5.h"
#include "tests/restart/tiny_run.h"

namespace galette::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;

constexpr const char* kName = "scale_consistency5";
/// Snapshots at 48 (without metrics), 1056, 2064 and 3024 images.
const std::string kOptions = fmt::format(
    "--cfg=creps --batch=48 --kimg=3 --snap=1 --keep=1 --metrics=fid50k_full,{0} --keep-best={0}",
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

/// Three lines, and a file with the state of the best of them.
void expect_metrics(const TinyRun& run) {
  const std::vector<json> lines = lines_of(run);
  ASSERT_EQ(lines.size(), 3u);
  size_t best = 0;
  for (size_t i = 0; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i]["tick"], i + 1);
    if (value_of(lines[i]) > value_of(lines[best])) best = i;
  }
  const json state = best_of(run);
  EXPECT_EQ(state["images"].get<double>(), 1000 * lines[best]["kimg"].get<double>());
  EXPECT_EQ(state["best"]["value"], value_of(lines[best]));
  EXPECT_EQ(io::list_checkpoints(run.path()).size(), 1u);
}

TEST(MetricsOfARun, LinesAndBestCheckpointOutliveStops) {
  const TinyRun whole("metrics-whole", 2, kOptions);
  const Outcome o = whole.train();
  ASSERT_EQ(o.code, kExitDone) << o.err;
  EXPECT_THAT(o.err, HasSubstr("--metrics: fid50k_full (needs the file of a detector network"));
  EXPECT_THAT(o.out, HasSubstr(fmt::format("stays as best-{}.h5", kName)));
  expect_metrics(whole);

  const TinyRun stopped("metrics-stopped", 2, kOptions);
  const Outcome first = stopped.train_while([&] {
    ASSERT_TRUE(wait_until([&] { return !lines_of(stopped).empty(); }));
    EXPECT_TRUE(stopped.send(SIGUSR1, {1}));
  });
  ASSERT_EQ(first.code, kExitSavedGoOn) << first.err;
  // A line that a crash left behind, of a later time than the checkpoint's.
  std::ofstream(stopped.file(fmt::format("metric-{}.jsonl", kName)), std::ios::app)
      << R"({"tick": 9})"
      << "\n";
  ASSERT_EQ(stopped.train().code, kExitDone);
  expect_metrics(stopped);
  expect_equal_runs(stopped, whole);
  EXPECT_EQ(best_of(stopped)["images"], best_of(whole)["images"]);
}

}  // namespace
}  // namespace galette::testing

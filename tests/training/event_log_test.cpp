// SPDX-License-Identifier: Apache-2.0
// Event files of a run, read back by TensorBoard itself where Python has it.
#include "training/event_log.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "io/image_codec.h"
#include "io/json_lines.h"
#include "tests/support/temp_dir.h"

namespace galette {
namespace {

namespace fs = std::filesystem;

class EventLogTest : public ::testing::Test {
 protected:
  std::string folder() const { return dir_.path(); }

  static nlohmann::ordered_json row(int tick, double timestamp) {
    nlohmann::ordered_json row;
    row["Progress/tick"] = {{"num", 1}, {"mean", tick}, {"std", 0}};
    row["Progress/kimg"] = {{"num", 1}, {"mean", 4.032 * tick}, {"std", 0}};
    row["Loss/G/loss"] = {{"num", 9}, {"mean", 0.5 + tick}, {"std", 1}};
    row["Loss/r1_penalty"] = {{"num", 0}, {"mean", nullptr}, {"std", nullptr}};
    row["timestamp"] = timestamp;
    return row;
  }
  /// As a run does: the row of stats.jsonl and the event.
  void add(EventLog& log, const nlohmann::ordered_json& row, const std::string& sheet = "") const {
    io::JsonLines(folder() + "/stats.jsonl").append(row);
    log.add(row, sheet);
  }
  /// What TensorBoard makes of the folder; prints what is wrong.
  int read_back(const std::string& expected) const {
    return std::system(fmt::format("{0}/../.deps/venv/bin/python {0}/training/read_events.py {1} "
                                   "'{2}'",
                                   GALETTE_TEST_DATA, folder(), expected)
                           .c_str());
  }

  testing::TempDir dir_;
};

TEST_F(EventLogTest, TensorBoardReadsWhatStatsSay) {
  io::write_png(folder() + "/sheet.png", io::Image(2048, 1000, 3));
  EventLog log(folder());
  add(log, row(0, 100));
  io::JsonLines(folder() + "/metric-eqt9_int.jsonl")
      .append({{"results", {{"eqt9_int", 40.5}}}, {"tick", 1}});
  add(log, row(1, 200), folder() + "/sheet.png");
  add(log, row(2, 300));
  EXPECT_EQ(read_back(R"({"Loss/G/loss": [[0, 0.5], [4, 1.5], [8, 2.5]],
                          "Metrics/eqt9_int": [[4, 40.5]], "fakes": [[4, 1024, 500]]})"),
            0);
}

TEST_F(EventLogTest, ARunThatGoesBackTellsEachTickOnce) {
  {
    EventLog log(folder());
    for (int tick = 0; tick < 4; ++tick) add(log, row(tick, 100 * (tick + 1)));
  }
  // As when a run goes on from a checkpoint of tick 2.
  io::truncate_after(folder() + "/stats.jsonl", "/Progress~1tick/mean", 1);
  EventLog log(folder());
  for (int tick = 2; tick < 5; ++tick) add(log, row(tick, 1000 + tick));
  EXPECT_EQ(read_back(R"({"Loss/G/loss": [[0, 0.5], [4, 1.5], [8, 2.5], [12, 3.5], [16, 4.5]]})"),
            0);
}

}  // namespace
}  // namespace galette

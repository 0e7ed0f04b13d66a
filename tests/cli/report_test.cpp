// SPDX-License-Identifier: Apache-2.0
// `galette report`: what it reads of run directories, whole and damaged ones, and the page in a
// browser.
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/base64.h"
#include "cli/report_run.h"
#include "io/file_util.h"
#include "io/image_codec.h"
#include "tests/cli/program.h"
#include "tests/support/temp_dir.h"

namespace galette::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

void write(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
}

/// Of one colour, darker from one sheet to the next.
void write_sheet(const std::string& path, uint8_t value) {
  io::Image image(64, 32, 3);
  std::fill(image.pixels.begin(), image.pixels.end(), value);
  io::write_png(path, image);
}

json statistic(double mean, double std = 0) {
  return {{"num", 1}, {"mean", mean}, {"std", std}};
}

std::string stats_row(int tick) {
  return json{{"Loss/G/loss", statistic(1 + 0.125 * tick, 0.5)},
              {"Loss/D/loss", statistic(0.75 - 0.03125 * tick, 0.25)},
              {"Loss/pl_penalty", {{"num", 0}, {"mean", nullptr}, {"std", nullptr}}},
              {"Progress/tick", statistic(tick)},
              {"Progress/kimg", statistic(4 * tick)},
              {"Timing/total_sec", statistic(100 * tick + 3600)},
              {"timestamp", 1e9}}
             .dump() +
         "\n";
}

constexpr const char* kLog =
    "Training for 16 kimg...\n"
    "tick 0     kimg 0.0      time 12s          sec/tick 1.0\n"
    "tick 1     kimg 4.0      time 12s          sec/tick 1.0\n"
    "warning: 3 gradient values were not finite </script><b>\n"
    "warning: 3 gradient values were not finite </script><b>\n"
    "galette: rank 0 has been in iteration 13, Gmain for 301 s\n"
    "Going on from runs/a/checkpoint-000000125.h5 at 2.5 kimg.\n"
    "Done: 16.0 kimg in runs/a.\n";

/// A finished run of five ticks.
void write_run(const std::string& folder) {
  fs::create_directories(folder);
  std::string rows;
  for (int tick = 0; tick < 5; ++tick) rows += stats_row(tick);
  write(folder + "/stats.jsonl", rows);
  write(folder + "/log.txt", kLog);
  write(folder + "/restarts.json", R"({"starts": 2})");
  write(folder + "/training_options.json", R"({"cfg": "creps", "kimg": 16, "batch": 32})");
  write(folder + "/metric-eqt1k_int.jsonl",
        "{\"results\": {\"eqt1k_int\": 30.5}, \"kimg\": 8}\n"
        "{\"results\": {\"eqt1k_int\": 20.5}, \"kimg\": 4}\n");
  write_sheet(folder + "/reals.png", 10);
  write_sheet(folder + "/fakes_init.png", 250);
  for (int kimg = 0; kimg <= 16; kimg += 4)
    write_sheet(fmt::format("{}/fakes{:06d}.png", folder, kimg), static_cast<uint8_t>(200 - kimg));
}

std::vector<int64_t> sheet_times(const ordered_json& run) {
  std::vector<int64_t> times;
  for (const ordered_json& sheet : run.at("sheets")) times.push_back(sheet.at("kimg"));
  return times;
}

std::string page_of(const std::string& path) {
  const std::vector<uint8_t> bytes = io::read_file(path);
  return {bytes.begin(), bytes.end()};
}

TEST(Base64, FollowsTheStandard) {
  const auto text = [](const std::string& bytes) {
    return base64({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  };
  EXPECT_EQ(text(""), "");  // the values of RFC 4648, section 10
  EXPECT_EQ(text("f"), "Zg==");
  EXPECT_EQ(text("fo"), "Zm8=");
  EXPECT_EQ(text("foobar"), "Zm9vYmFy");
}

TEST(ReportRun, ReadsStatisticsMetricsAndEvents) {
  const TempDir dir;
  write_run(dir.file("a"));
  const ordered_json run = report_run(dir.file("a"), {}, dir.file("tmp"));
  EXPECT_EQ(run.at("name"), "a");
  EXPECT_EQ(run.at("kimg"), json({0, 4, 8, 12, 16}));
  EXPECT_EQ(run.at("series").at("Loss/G/loss").at("mean"), json({1, 1.125, 1.25, 1.375, 1.5}));
  EXPECT_EQ(run.at("series").at("Loss/G/loss").at("std"), json({0.5, 0.5, 0.5, 0.5, 0.5}));
  EXPECT_FALSE(run.at("series").contains("Loss/pl_penalty")) << "it has no values";
  EXPECT_EQ(run.at("metrics").at("eqt1k_int").at("kimg"), json({4, 8}));
  EXPECT_EQ(run.at("metrics").at("eqt1k_int").at("value"), json({20.5, 30.5}));
  EXPECT_EQ(run.at("starts"), 2);
  const ordered_json& events = run.at("events");
  ASSERT_EQ(events.size(), 4);
  EXPECT_EQ(events[0].at("kind"), "warning");
  EXPECT_EQ(events[0].at("times"), 2);
  EXPECT_EQ(events[0].at("kimg"), 4);
  EXPECT_EQ(events[1].at("kind"), "fault");
  EXPECT_EQ(events[2].at("kind"), "restart");
  EXPECT_EQ(events[2].at("kimg"), 2.5);
  EXPECT_EQ(events[3].at("kind"), "done");
  EXPECT_TRUE(run.at("notes").empty()) << run.at("notes");
}

TEST(ReportRun, SheetsAreFewAndSmall) {
  const TempDir dir;
  write_run(dir.file("a"));
  const ordered_json all = report_run(dir.file("a"), {}, dir.file("tmp"));
  EXPECT_THAT(sheet_times(all), ElementsAre(-1, 0, 4, 8, 12, 16));
  EXPECT_THAT(all.at("reals").get<std::string>(), HasSubstr("data:image/jpeg;base64,/9j/"));
  const ordered_json few = report_run(dir.file("a"), {3, 16}, dir.file("tmp"));
  EXPECT_THAT(sheet_times(few), ElementsAre(-1, 4, 16));
  EXPECT_THAT(sheet_times(report_run(dir.file("a"), {1, 16}, dir.file("tmp"))), ElementsAre(16));
  EXPECT_TRUE(report_run(dir.file("a"), {0, 16}, dir.file("tmp")).at("sheets").empty());
  EXPECT_LT(few.dump().size(), all.dump().size());
  EXPECT_FALSE(fs::exists(dir.file("tmp")));
}

TEST(ReportRun, SaysWhatIsMissingOrDamaged) {
  const TempDir dir;
  write_run(dir.file("a"));
  std::ofstream(dir.file("a/stats.jsonl"), std::ios::app) << "{\"Loss/G/lo";
  write(dir.file("a/fakes000004.png"), "no picture");
  write(dir.file("a/training_options.json"), "{");
  fs::remove(dir.file("a/log.txt"));
  const ordered_json run = report_run(dir.file("a"), {}, dir.file("tmp"));
  EXPECT_EQ(run.at("kimg").size(), 5);
  EXPECT_THAT(sheet_times(run), ElementsAre(-1, 0, 8, 12, 16));
  const auto notes = run.at("notes").get<std::vector<std::string>>();
  EXPECT_THAT(notes, Contains("stats.jsonl: 1 broken line left out"));
  EXPECT_THAT(notes, Contains("training_options.json is damaged"));
  EXPECT_THAT(notes, Contains("log.txt is missing"));
  EXPECT_THAT(notes, Contains(HasSubstr("left out: fakes000004.png")));
  EXPECT_EQ(notes.size(), 4);
}

class Report : public ::testing::Test {
 protected:
  static Outcome report(const std::string& arguments) {
    return run_program(1, "report " + arguments);
  }
  static void expect_refusal(const std::string& arguments, const std::string& text) {
    const Outcome o = report(arguments);
    EXPECT_EQ(o.code, 2);
    EXPECT_THAT(o.complaint(), HasSubstr(text));
  }
  TempDir dir_;
};

TEST_F(Report, RefusesOtherFoldersAndExistingFiles) {
  fs::create_directory(dir_.file("empty"));
  write(dir_.file("there.html"), "mine");
  write_run(dir_.file("a"));
  const std::string out = " --out=" + dir_.file("r.html");
  expect_refusal(dir_.file("none") + out, "is not a folder; give run directories");
  expect_refusal(dir_.file("empty") + out, "holds no run");
  expect_refusal(dir_.file("a") + " --out=" + dir_.file("there.html"), "exists already");
  expect_refusal(dir_.file("a") + " --out=" + dir_.file("no/r.html"), "no/r.html");
  EXPECT_EQ(page_of(dir_.file("there.html")), "mine");
  EXPECT_FALSE(fs::exists(dir_.file("r.html")));
  EXPECT_EQ(report(dir_.file("a") + " --force --out=" + dir_.file("there.html")).code, 0);
}

TEST_F(Report, WritesOnePageWithoutAddresses) {
  write_run(dir_.file("a"));
  write_run(dir_.file("b/a"));
  const Outcome o =
      report(dir_.file("a") + " " + dir_.file("b/a") + " --out=" + dir_.file("r.html"));
  ASSERT_EQ(o.code, 0) << o.err;
  const std::string page = page_of(dir_.file("r.html"));
  EXPECT_THAT(page, AllOf(Not(HasSubstr("{{")), Not(HasSubstr("</script><b>")),
                          Not(HasSubstr("https://")), HasSubstr("\\u003c/script>\\u003cb>")));
  EXPECT_THAT(page, HasSubstr("\"name\":\"" + dir_.file("b/a") + "\"")) << "two runs named a";
}

std::string chromium() {
  for (const char* path : {"/usr/bin/chromium", "/usr/bin/google-chrome", "/usr/bin/chrome"})
    if (fs::exists(path)) return path;
  return "";
}

TEST_F(Report, WorksInABrowser) {
  if (chromium().empty()) GTEST_SKIP() << "NOT TESTED: no Chromium (Debian's package chromium)";
  write_run(dir_.file("a"));
  write_run(dir_.file("b"));
  fs::create_directory(dir_.file("young"));
  write(dir_.file("young/log.txt"), "Training for 16 kimg...\n");
  const std::string one = dir_.file("one.html"), three = dir_.file("three.html");
  ASSERT_EQ(report(dir_.file("a") + " --out=" + one).code, 0);
  ASSERT_EQ(report(fmt::format("{} {} {} --out={}", dir_.file("a"), dir_.file("b"),
                               dir_.file("young"), three))
                .code,
            0);
  for (const auto& [page, runs] : {std::pair(one, 1), std::pair(three, 3)})
    EXPECT_EQ(std::system(fmt::format("timeout 60 python3 {}/cli/check_report.py {} {} {}",
                                      GALETTE_TEST_DATA, chromium(), page, runs)
                              .c_str()),
              0);
}

}  // namespace
}  // namespace galette::testing

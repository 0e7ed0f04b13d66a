// SPDX-License-Identifier: Apache-2.0
// Metrics while a run goes on: whatever happens to one of them, on whatever rank, the others are
// computed and all ranks go on with the same value.
#include "training/snapshot_metrics.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/dataset_packer.h"
#include "io/image_codec.h"
#include "models/factory.h"
#include "parallel/heartbeat.h"
#include "parallel/mpi_communicator.h"
#include "tests/cli/tiny_networks.h"
#include "tests/support/temp_dir.h"

namespace galette::testing {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// Stands for a trained network: mean colours, unless it is broken.
class ColourDetector : public Detector {
 public:
  explicit ColourDetector(const std::string& kind, bool is_broken = false)
      : Detector(kind, "0123"), is_broken_(is_broken) {}
  at::Tensor features(const at::Tensor& images) const override {
    TORCH_CHECK(!is_broken_, "no features today");
    return images.to(at::kFloat).mean({2, 3}) / 255;
  }
  int64_t feature_dim() const override { return 3; }

 private:
  bool is_broken_;
};

class SnapshotMetricsRanks : public ::testing::Test {
 protected:
  SnapshotMetricsRanks() {
    if (world_.rank() == 0) write_pictures();
    world_.barrier();
    io::PackOptions pack;
    pack.source = dir_.file("images");
    pack.dest = dir_.file("set.h5");
    io::pack_dataset(pack, MPI_COMM_WORLD, [](int64_t, int64_t) {});
    data_.emplace(io::Dataset::open(pack.dest));
  }

  void write_pictures() const {
    std::filesystem::create_directory(dir_.file("images"));
    json classes = json::array();
    for (int i = 0; i < 11; ++i) {
      io::Image image(16, 16, 3);
      for (size_t k = 0; k < image.pixels.size(); ++k) image.pixels[k] = uint8_t(k * i + 9 * i);
      const std::string name = fmt::format("{:02d}.png", i);
      io::write_png(dir_.file("images/" + name), image);
      classes.push_back({name, i % 3});
    }
    std::ofstream(dir_.file("images/dataset.json")) << json{{"labels", classes}};
  }

  /// Metrics of a snapshot of tick 3 with these detectors; the value that decides.
  std::optional<double> compute(
      const std::string& options, TrainDetectors detectors,
      const std::function<bool()>& stop = [] { return false; }) {
    options_ = {};
    OptionTable table = train_option_table(options_);
    CLI::App app;
    table.add_to(app);
    app.parse(fmt::format(
        "--cfg=creps --data={} --batch=16 --gamma=1 {} {}", data_->info().path,
        options.find("--run-dir") == std::string::npos ? "--run-dir=" + dir_.file("run") : "",
        options));
    const DatasetFacts facts{"set", 11, 16, 3, 3, data_->info().fingerprint};
    resolve_options(options_, 1, facts);
    const RunDirectory run = RunDirectory::prepare(options_, table, facts, world_.handle());
    const SnapshotMetrics metrics(options_, run, world_, *data_, detectors);
    const auto value = metrics.compute({*generator_, "network-snapshot-000007.h5", 3, 7.5}, stop);
    world_.barrier();  // the first rank writes lines
    return value;
  }

  std::vector<json> lines(const std::string& metric, const std::string& run = "run") const {
    std::vector<json> result;
    std::ifstream stream(fmt::format("{}/metric-{}.jsonl", dir_.file(run), metric));
    for (std::string line; std::getline(stream, line);) result.push_back(json::parse(line));
    return result;
  }

  static TrainDetectors detectors(bool is_broken = false) {
    TrainDetectors result;
    result.networks.push_back(std::make_unique<ColourDetector>("efficientnet", is_broken));
    return result;
  }

  MpiCommunicator world_{MPI_COMM_WORLD};
  TempDir dir_{MPI_COMM_WORLD};
  std::optional<io::Dataset> data_;
  TrainOptions options_;
  std::unique_ptr<Generator> generator_ = tiny_generator(kCreps, tiny_args());
};

TEST_F(SnapshotMetricsRanks, TheValueOfADetectorDecides) {
  const auto value = compute(
      "--metrics=scale_consistency3,fd_efficientnet9_full --keep-best=fd_efficientnet9_full",
      detectors());
  ASSERT_TRUE(value.has_value());
  EXPECT_GT(*value, 0);
  EXPECT_TRUE(world_.agree(std::hash<double>()(*value)));
  ASSERT_EQ(lines("fd_efficientnet9_full").size(), 1u);
  const json line = lines("fd_efficientnet9_full")[0];
  EXPECT_EQ(line["results"]["fd_efficientnet9_full"], *value);
  EXPECT_EQ(line["tick"], 3);
  EXPECT_EQ(line["kimg"], 7.5);
  EXPECT_EQ(line["num_real"], 11);
  EXPECT_EQ(line["detector_sha256"], "0123");
  EXPECT_EQ(lines("scale_consistency3").size(), 1u);
}

// They do unless the metric is one of all real images, and never change the labels that are drawn.
TEST_F(SnapshotMetricsRanks, MirrorImagesCountWhereTrainingHasThem) {
  generator_ = tiny_generator(kCreps, tiny_args({{"c_dim", 3}}));
  const std::string options = "--metrics=fd_efficientnet15,fd_efficientnet15_full --cond=1 ";
  compute(options + "--run-dir=" + dir_.file("mirror") + " --mirror=1", detectors());
  compute(options + "--run-dir=" + dir_.file("plain"), detectors());
  const std::string part = "fd_efficientnet15", all = "fd_efficientnet15_full";
  ASSERT_EQ(lines(part, "mirror").size() * lines(part, "plain").size(), 1u);
  EXPECT_EQ(lines(part, "mirror")[0]["num_real"], 15);
  EXPECT_EQ(lines(part, "plain")[0]["num_real"], 11);
  EXPECT_EQ(lines(all, "mirror")[0]["num_real"], 11);
  EXPECT_EQ(lines(all, "mirror")[0]["results"], lines(all, "plain")[0]["results"]);
}

TEST_F(SnapshotMetricsRanks, AFailureOnOneRankCostsThatMetricOnly) {
  const int last = world_.size() - 1;
  const auto value =
      compute("--metrics=fd_efficientnet9_full,scale_consistency3 --keep-best=scale_consistency3",
              detectors(world_.rank() == last));
  EXPECT_TRUE(value.has_value());
  EXPECT_TRUE(lines("fd_efficientnet9_full").empty());
  EXPECT_EQ(lines("scale_consistency3").size(), 1u);
}

TEST_F(SnapshotMetricsRanks, AMetricWithoutItsDetectorIsLeftOut) {
  const auto value =
      compute("--metrics=fid9,scale_consistency3,fd_efficientnet5 --keep-best=fid9", detectors());
  EXPECT_FALSE(value.has_value());
  EXPECT_TRUE(lines("fid9").empty());
  EXPECT_EQ(lines("scale_consistency3").size(), 1u);
  EXPECT_EQ(lines("fd_efficientnet5").size(), 1u);
  EXPECT_THAT(metrics_left_out(options_, {"efficientnet"}),
              ElementsAre(HasSubstr("fid9 (needs the weights of the detector network inception")));
}

// One rank is told to stop; all leave at the same border.
TEST_F(SnapshotMetricsRanks, ARequestToStopEndsThemOnAllRanks) {
  int asked = 0;
  const int last = world_.size() - 1;
  compute("--metrics=fd_efficientnet400,scale_consistency3", detectors(),
          [&] { return ++asked == 3 && world_.rank() == last; });
  EXPECT_EQ(asked, 3);
  EXPECT_TRUE(lines("fd_efficientnet400").empty());
  EXPECT_TRUE(lines("scale_consistency3").empty());
}

// The watchdog sees that a rank gets on by the sections that it enters.
TEST_F(SnapshotMetricsRanks, EveryBatchIsASignOfLife) {
  std::vector<int64_t> steps;
  compute("--metrics=fd_efficientnet200_full", detectors(), [&] {
    steps.push_back(Heartbeat::instance().report().steps);
    return false;
  });
  ASSERT_GT(steps.size(), 3u);
  EXPECT_EQ(std::adjacent_find(steps.begin(), steps.end(), std::greater_equal<>()), steps.end());
}

}  // namespace
}  // namespace galette::testing

// SPDX-License-Identifier: Apache-2.0
#include "training/checkpoint_saver.h"

#include <csignal>
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "io/together.h"
#include "tests/support/temp_dir.h"

namespace galette {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;

const MPI_Comm kWorld = MPI_COMM_WORLD;

/// Several blocks of 1 MiB, so that several ranks have a share.
io::CheckpointContent content_of(int64_t step) {
  io::CheckpointContent content;
  content.arrays.push_back({"values", at::arange(900001, at::kFloat).add_(step), {}});
  content.arrays.push_back({"few", at::full({3}, step, at::kDouble), {}});
  content.state = {{"step", step}};
  return content;
}

io::CheckpointContent read(const std::string& path) {
  io::CheckpointContent content = content_of(0);
  io::read_checkpoint(path, content, kWorld);
  return content;
}

void expect_step(const std::string& path, int64_t step) {
  const io::CheckpointContent found = read(path), expected = content_of(step);
  for (size_t i = 0; i < expected.arrays.size(); ++i) {
    EXPECT_TRUE(found.arrays[i].values.equal(expected.arrays[i].values)) << step;
  }
  EXPECT_EQ(found.state, expected.state);
}

SaveReport report_of(CheckpointSaver& saver) {
  saver.wait();
  const auto report = saver.take_report();
  EXPECT_TRUE(report);
  return report.value_or(SaveReport{});
}

class CheckpointSaverRanks
    : public ::testing::TestWithParam<std::tuple<io::CheckpointWriter, SaveMode>> {
 protected:
  SaverOptions options() const {
    SaverOptions result;
    result.folder = dir_.path();
    result.writer = std::get<0>(GetParam());
    return result;
  }
  std::string path(int64_t step) const { return dir_.file(io::checkpoint_name(step)); }

  const SaveMode mode_ = std::get<1>(GetParam());
  testing::TempDir dir_{kWorld};
};

TEST_P(CheckpointSaverRanks, WritesTheStateOfTheMomentAndKeepsTheNewest) {
  CheckpointSaver saver(options(), kWorld);
  EXPECT_FALSE(saver.take_report());
  for (const int64_t step : {1, 2, 3}) {
    io::CheckpointContent content = content_of(step);
    saver.save(step, content, mode_);
    for (auto& array : content.arrays) array.values.fill_(-1);  // training goes on
    const SaveReport report = report_of(saver);
    EXPECT_EQ(report.error, "");
    EXPECT_EQ(report.path, path(step));
    EXPECT_FALSE(saver.take_report()) << "each report once";
    expect_step(path(step), step);
  }
  EXPECT_THAT(io::list_checkpoints(dir_.path()), ElementsAre(path(3), path(2)));
}

TEST_P(CheckpointSaverRanks, SparesTheOneThatTheRunWentOnFrom) {
  CheckpointSaver saver(options(), kWorld);
  saver.spare(path(1));
  for (const int64_t step : {1, 2, 3, 4}) {
    saver.save(step, content_of(step), mode_);
    report_of(saver);
  }
  EXPECT_THAT(io::list_checkpoints(dir_.path()), ElementsAre(path(4), path(3), path(1)));
}

TEST_P(CheckpointSaverRanks, AFurtherNameStaysUntilItIsGivenAnew) {
  CheckpointSaver saver(options(), kWorld);
  const std::string best = dir_.file("best-x.h5");
  const auto save = [&](int64_t step, const std::string& name) {
    saver.save(step, content_of(step), mode_, name);
    const SaveReport report = report_of(saver);
    EXPECT_EQ(report.error + report.name_error, "");
  };
  save(1, "best-x.h5");
  for (const int64_t step : {2, 3, 4}) save(step, "");
  EXPECT_THAT(io::list_checkpoints(dir_.path()), ElementsAre(path(4), path(3)));
  expect_step(best, 1);
  save(5, "best-x.h5");
  expect_step(best, 5);
  saver.save(6, content_of(6), mode_, "none/best-x.h5");
  const SaveReport report = report_of(saver);
  EXPECT_EQ(report.error, "");
  EXPECT_THAT(report.name_error, HasSubstr("best-x.h5"));
  EXPECT_FALSE(fs::exists(best + ".tmp"));
}

TEST_P(CheckpointSaverRanks, AFailureIsReportedAndTheOldOneStays) {
  CheckpointSaver saver(options(), kWorld);
  saver.save(1, content_of(1), mode_);
  EXPECT_EQ(report_of(saver).error, "");
  // A limit on the size of files acts like a full disk.
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, SIG_IGN);
  const rlimit tight{1 << 20, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &tight);
  saver.save(2, content_of(2), mode_);
  const SaveReport failed = report_of(saver);
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_THAT(failed.error, HasSubstr(path(2)));
  EXPECT_THAT(io::list_checkpoints(dir_.path()), ElementsAre(path(1)));
  expect_step(path(1), 1);
  saver.save(3, content_of(3), mode_);
  EXPECT_EQ(report_of(saver).error, "");
  expect_step(path(3), 3);
}

INSTANTIATE_TEST_SUITE_P(Modes, CheckpointSaverRanks,
                         ::testing::Combine(::testing::Values(io::CheckpointWriter::collective,
                                                              io::CheckpointWriter::rank0),
                                            ::testing::Values(SaveMode::in_background,
                                                              SaveMode::synchronous)));

}  // namespace
}  // namespace galette

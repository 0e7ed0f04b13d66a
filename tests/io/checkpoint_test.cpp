// SPDX-License-Identifier: Apache-2.0
#include "io/checkpoint.h"

#include <csignal>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "io/check.h"
#include "io/checkpoint_form.h"
#include "io/hdf5.h"
#include "io/together.h"
#include "tests/io/checkpoint_fixture.h"
#include "tests/support/temp_dir.h"

namespace galette::io {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing::TempDir;

const MPI_Comm kWorld = MPI_COMM_WORLD;

/// Cuts or extends a file on rank 0.
void damage(const std::string& path) {
  on_root(kWorld, [&] { fs::resize_file(path, fs::file_size(path) / 2); });
}

template <typename Error>
std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing of that type was thrown";
}

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(CheckpointRanks, KeepsArraysAndState) {
  const TempDir dir(kWorld);
  const auto content = sample_content(3);
  write_checkpoint(dir.file("c.h5"), content, kWorld);
  auto read = blank_content();
  read_checkpoint(dir.file("c.h5"), read, kWorld);
  EXPECT_TRUE(equal(read, content));
  EXPECT_FALSE(fs::exists(dir.file("c.h5.tmp")));
  std::string latest;
  std::ifstream(dir.file("latest")) >> latest;
  EXPECT_EQ(latest, "c.h5");
}

TEST(CheckpointRanks, DoesNotDependOnTheNumberOfRanks) {
  const TempDir dir(kWorld);
  const auto content = sample_content(3);
  write_checkpoint(dir.file("together.h5"), content, kWorld);
  on_root(kWorld, [&] { write_checkpoint(dir.file("alone.h5"), content, MPI_COMM_SELF); });
  const auto together = H5File::open(dir.file("together.h5"));
  const auto alone = H5File::open(dir.file("alone.h5"));
  for (const auto& array : content.arrays)
    for (const auto* group : {"arrays/", "hashes/"})
      EXPECT_TRUE(together.read(group + array.name).equal(alone.read(group + array.name)));
  EXPECT_EQ(together.read_text("commit"), alone.read_text("commit"));
}

TEST(CheckpointRanks, RankZeroWritesTheSameAlone) {
  const TempDir dir(kWorld);
  const auto content = sample_content(3);
  write_checkpoint(dir.file("together.h5"), content, kWorld);
  auto partial = sample_content(3);
  // Of other ranks nothing is read.
  if (comm_rank(kWorld) != 0)
    for (auto& array : partial.arrays) array.values.fill_(-1);
  write_checkpoint(dir.file("alone.h5"), partial, kWorld, CheckpointWriter::rank0);
  auto read = blank_content();
  read_checkpoint(dir.file("alone.h5"), read, kWorld);
  EXPECT_TRUE(equal(read, content));
  EXPECT_EQ(H5File::open(dir.file("alone.h5")).read_text("commit"),
            H5File::open(dir.file("together.h5")).read_text("commit"));
}

TEST(CheckpointRanks, OnlyTheShareOfARankIsRead) {
  const TempDir dir(kWorld);
  const auto content = sample_content(3);
  auto shares = blank_content();
  shares.state = content.state;
  for (size_t i = 0; i < content.arrays.size(); ++i) {
    const auto share = [](const FlatArray& array) {
      return written_share(array.values, CheckpointWriter::collective, kWorld);
    };
    share(shares.arrays[i]).copy_(share(content.arrays[i]));
  }
  write_checkpoint(dir.file("c.h5"), shares, kWorld);
  auto read = blank_content();
  read_checkpoint(dir.file("c.h5"), read, kWorld);
  EXPECT_TRUE(equal(read, content));
}

TEST(CheckpointRanks, AFormServesManyFilesAndAdaptsToOtherArrays) {
  const TempDir dir(kWorld);
  CheckpointForm form;
  const auto save = [&](const std::string& name, const CheckpointContent& content) {
    on_root(kWorld, [&] { std::ofstream(dir.file(name) + ".tmp") << std::string(9 << 20, 'x'); });
    write_checkpoint(dir.file(name), content, kWorld, CheckpointWriter::collective, &form);
    EXPECT_EQ(text_of(dir.file(name)).find(std::string(64, 'x')), std::string::npos)
        << "what an interrupted save left shines through";
    const auto file = H5File::open(dir.file(name));
    auto read = content;
    for (auto& array : read.arrays) array.values = at::full_like(array.values, 77);
    read_checkpoint(dir.file(name), read, kWorld);
    EXPECT_TRUE(equal(read, content)) << name;
    for (const auto& array : content.arrays)
      for (const auto& slice : array.slices)
        EXPECT_EQ(file.read(slice.name).flatten()[0].item<double>(),
                  array.values[slice.offset].item<double>())
            << name << " " << slice.name;
  };
  auto longer = sample_content(2);
  longer.state["text"] = std::string(3 << 20, 'y');
  auto other_names = sample_content(3);
  other_names.arrays[0].slices = {{"G_ema/other", {4, 3}, 5000}};
  auto other_sizes = other_names;
  other_sizes.arrays[1].values = at::arange(300001, at::kDouble);
  save("first.h5", sample_content(1));
  save("longer.h5", longer);
  save("names.h5", other_names);
  EXPECT_FALSE(H5File::open(dir.file("names.h5")).exists("G_ema/w_avg"));
  save("sizes.h5", other_sizes);
  save("again.h5", sample_content(4));
}

TEST(CheckpointRanks, ReplacesAnOlderFile) {
  const TempDir dir(kWorld);
  for (const int step : {1, 2}) write_checkpoint(dir.file("c.h5"), sample_content(step), kWorld);
  auto read = blank_content();
  read_checkpoint(dir.file("c.h5"), read, kWorld);
  EXPECT_TRUE(equal(read, sample_content(2)));
}

// A limit on the file's size makes the writes of one rank fail as a full disk or a quota would.
void expect_failure_on_all(CheckpointForm* form) {
  const TempDir dir(kWorld);
  write_checkpoint(dir.file("c.h5"), sample_content(1), kWorld, CheckpointWriter::collective, form);
  for (int victim = 0; victim < comm_size(kWorld); ++victim) {
    rlimit old_limit{};
    getrlimit(RLIMIT_FSIZE, &old_limit);
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit tight{1 << 20, old_limit.rlim_max};
    if (comm_rank(kWorld) == victim) setrlimit(RLIMIT_FSIZE, &tight);
    const auto message = message_of<std::runtime_error>([&] {
      write_checkpoint(dir.file("c.h5"), sample_content(2), kWorld, CheckpointWriter::collective,
                       form);
    });
    setrlimit(RLIMIT_FSIZE, &old_limit);
    EXPECT_THAT(message, HasSubstr(victim == 0 ? "cannot be given the space" : "H5Dwrite"));
    EXPECT_EQ(message, broadcast_text(kWorld, message));
    EXPECT_FALSE(fs::exists(dir.file("c.h5.tmp")));
    auto read = blank_content();
    read_checkpoint(dir.file("c.h5"), read, kWorld);
    EXPECT_TRUE(equal(read, sample_content(1)));
  }
}

TEST(CheckpointRanks, FailedWriteOnOneRankFailsAllAndKeepsTheOldFile) {
  expect_failure_on_all(nullptr);
}

TEST(CheckpointRanks, FailedWriteOfAKnownFormFailsAllToo) {
  CheckpointForm form;
  expect_failure_on_all(&form);
}

TEST(CheckpointRanks, RefusesWhatCannotFit) {
  const TempDir dir(kWorld);
  float element = 0;  // the size is checked before the data are touched
  CheckpointContent huge;
  huge.arrays.push_back({"huge", at::from_blob(&element, {int64_t{1} << 55}), {}});
  EXPECT_THAT(
      message_of<std::runtime_error>([&] { write_checkpoint(dir.file("c.h5"), huge, kWorld); }),
      AllOf(HasSubstr("c.h5"), HasSubstr("not enough space")));
  EXPECT_TRUE(fs::is_empty(dir.path()));
}

TEST(CheckpointRanks, FindsTheNewestValidOne) {
  const TempDir dir(kWorld);
  for (const int step : {9, 10, 100, 200})
    write_checkpoint(dir.file(checkpoint_name(step)), sample_content(step), kWorld);
  damage(dir.file(checkpoint_name(100)));
  damage(dir.file(checkpoint_name(200)));
  auto read = blank_content();
  const auto loaded = load_newest_checkpoint(dir.path(), read, kWorld);
  EXPECT_EQ(loaded.path, dir.file(checkpoint_name(10)));
  EXPECT_THAT(loaded.rejected,
              ElementsAre(HasSubstr(checkpoint_name(200)), HasSubstr(checkpoint_name(100))));
  EXPECT_TRUE(equal(read, sample_content(10)));
  EXPECT_TRUE(fs::exists(dir.file(checkpoint_name(200) + ".bad")));
  EXPECT_FALSE(fs::exists(dir.file(checkpoint_name(200))));
}

TEST(CheckpointRanks, RefusesWhenNoneIsValid) {
  const TempDir dir(kWorld);
  auto read = blank_content();
  EXPECT_THAT(load_newest_checkpoint(dir.path(), read, kWorld).path, IsEmpty());
  EXPECT_THAT(load_newest_checkpoint(dir.file("none"), read, kWorld).path, IsEmpty());
  for (const int step : {1, 2}) {
    write_checkpoint(dir.file(checkpoint_name(step)), sample_content(step), kWorld);
    damage(dir.file(checkpoint_name(step)));
  }
  // The second time only *.bad files are left, which must not look like a fresh folder.
  for (int attempt = 0; attempt < 2; ++attempt)
    EXPECT_THAT(message_of<InputError>([&] { load_newest_checkpoint(dir.path(), read, kWorld); }),
                AllOf(HasSubstr(dir.path()), HasSubstr("2 damaged")));
  EXPECT_THAT(load_newest_checkpoint(dir.path(), read, kWorld, NoneValid::start_anew).path,
              IsEmpty());
}

TEST(CheckpointRanks, OtherOptionsAreNotDamage) {
  const TempDir dir(kWorld);
  write_checkpoint(dir.file(checkpoint_name(1)), sample_content(1), kWorld);
  auto other = blank_content();
  other.arrays[0].values = at::zeros({7});
  const auto load = [&] { load_newest_checkpoint(dir.path(), other, kWorld); };
  EXPECT_THAT(message_of<InputError>(load), HasSubstr("'params'"));
  other.arrays[0].name = "others";
  EXPECT_THAT(message_of<InputError>(load), HasSubstr("lacks array 'others'"));
  other = blank_content();
  other.arrays.pop_back();
  EXPECT_THAT(message_of<InputError>(load), HasSubstr("other options"));
  EXPECT_TRUE(fs::exists(dir.file(checkpoint_name(1))));
}

TEST(Checkpoint, ListsByNumberNotByTime) {
  const TempDir dir;
  for (const auto* name :
       {"checkpoint-000000010.h5", "checkpoint-000000009.h5", "checkpoint-1000000000.h5",
        "checkpoint-000000011.h5.tmp", "checkpoint-000000012.h5.bad", "checkpoint-x.h5",
        "checkpoint-.h5", "network-snapshot-000001.h5", "checkpoint--00000001.h5"})
    std::ofstream(dir.file(name)) << "x";
  fs::last_write_time(dir.file("checkpoint-000000009.h5"),
                      fs::file_time_type::clock::now() + std::chrono::hours(100));
  EXPECT_THAT(list_checkpoints(dir.path()),
              ElementsAre(EndsWith("checkpoint-1000000000.h5"), EndsWith("-000000010.h5"),
                          EndsWith("-000000009.h5")));
  EXPECT_THAT(list_checkpoints(dir.file("none")), IsEmpty());

  sweep_checkpoint_temporaries(dir.path());
  EXPECT_FALSE(fs::exists(dir.file("checkpoint-000000011.h5.tmp")));
  EXPECT_TRUE(fs::exists(dir.file("checkpoint-000000012.h5.bad")));
  prune_checkpoints(dir.path(), 2);
  EXPECT_THAT(list_checkpoints(dir.path()),
              ElementsAre(EndsWith("-1000000000.h5"), EndsWith("-000000010.h5")));
  prune_checkpoints(dir.path(), 0, "./checkpoint-000000010.h5");
  EXPECT_THAT(list_checkpoints(dir.path()), ElementsAre(EndsWith("-000000010.h5")));
}

TEST(Checkpoint, NumbersAreKeptExactly) {
  const TempDir dir;
  CheckpointContent content;
  content.state = {{"third", 1.0 / 3}, {"tiny", 0x1p-1074}, {"seed", uint64_t{1} << 63}};
  write_checkpoint(dir.file("c.h5"), content, MPI_COMM_SELF);
  CheckpointContent read;
  read_checkpoint(dir.file("c.h5"), read, MPI_COMM_SELF);
  EXPECT_EQ(read.state["third"].get<double>(), 1.0 / 3);
  EXPECT_EQ(read.state["tiny"].get<double>(), 0x1p-1074);
  EXPECT_EQ(read.state["seed"].get<uint64_t>(), uint64_t{1} << 63);
}

}  // namespace
}  // namespace galette::io

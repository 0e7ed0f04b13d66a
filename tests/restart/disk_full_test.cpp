// SPDX-License-Identifier: Apache-2.0
// A disk that is full: a small file system where one may be mounted, else a limit on the size of
// files.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/exit_code.h"
#include "io/checkpoint.h"
#include "tests/restart/tiny_run.h"

namespace galette::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr const char* kOptions = "--batch=48 --kimg=1 --checkpoint-every=0";

class SmallDisk {
 public:
  explicit SmallDisk(std::string path) : path_(std::move(path)) {
    fs::create_directory(path_);
    mounted_ = run("mount -t tmpfs -o size=80m tmpfs " + path_ + " 2> /dev/null");
  }
  ~SmallDisk() {
    if (mounted_) run("umount -l " + path_);
  }
  bool mounted() const { return mounted_; }
  void fill() const {
    std::ofstream filler(path_ + "/filler");
    const std::vector<char> block(4096);
    while (filler.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
    }
  }
  void make_room() const { fs::remove(path_ + "/filler"); }

 private:
  static bool run(const std::string& command) { return std::system(command.c_str()) == 0; }
  std::string path_;
  bool mounted_ = false;
};

TEST(DiskFull, TrainingGoesOnAndTheOldCheckpointStays) {
  const SmallDisk disk(tiny_folder() + "/small");
  if (!disk.mounted()) GTEST_SKIP() << "no file system may be mounted here";
  const TinyRun whole("roomy", 2, kOptions);
  ASSERT_EQ(whole.train().code, kExitDone);
  const TinyRun run(tiny_folder() + "/small/run", 2, kOptions);
  const Outcome full = run.train_while([&] {
    ASSERT_TRUE(wait_until([&] { return run.has_checkpoint(); }));
    disk.fill();
  });
  // Training went on to its end; only that end could not be saved.
  EXPECT_EQ(full.code, kExitError) << full.err;
  EXPECT_THAT(full.err,
              HasSubstr("could not be saved; older checkpoints stay and training goes on"));
  EXPECT_THAT(full.complaint(), HasSubstr("the run could not be saved before its end"));
  EXPECT_TRUE(run.has_checkpoint());
  EXPECT_FALSE(fs::exists(io::list_checkpoints(run.path())[0] + ".tmp"));

  disk.make_room();
  const Outcome last = run.train();
  EXPECT_EQ(last.code, kExitDone) << last.err;
  EXPECT_THAT(last.out, HasSubstr("Going on from"));
  expect_equal_runs(run, whole);
}

TEST(DiskFull, ALimitOnTheSizeOfFilesIsReportedToo) {
  // Room for log and statistics, not for a checkpoint; the shell counts in 512 bytes.
  const std::string run = tiny_folder() + "/limited";
  const Outcome o = run_mpirun(
      fmt::format("-n 2 sh -c 'ulimit -f 1000; exec @ train --run-dir={} --data={}/set.h5 "
                  "--cfg=stylegan2 --gamma=1 --cbase=64 --cmax=8 --map-depth=2 --aug=noaug "
                  "--metrics=none --batch=48 --kimg=1 --checkpoint-every=0'",
                  run, tiny_folder()),
      "", 200);
  EXPECT_EQ(o.code, kExitError) << o.err;
  EXPECT_THAT(o.err, HasSubstr("could not be saved; older checkpoints stay"));
  EXPECT_THAT(o.out, HasSubstr("tick 1 "));
  EXPECT_TRUE(io::list_checkpoints(run).empty());
}

}  // namespace
}  // namespace galette::testing

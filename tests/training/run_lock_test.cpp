// SPDX-License-Identifier: Apache-2.0
#include "training/run_lock.h"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/input_error.h"
#include "tests/support/temp_dir.h"

namespace galette {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::AllOf;
using testing::error_of;
using ::testing::HasSubstr;

class RunLockTest : public ::testing::Test {
 protected:
  RunLockTest() { unset_job(); }
  ~RunLockTest() override { unset_job(); }
  static void unset_job() {
    unsetenv("SLURM_JOB_ID");
    unsetenv("SLURM_RESTART_COUNT");
  }
  static void be_job(const char* id, const char* restart) {
    setenv("SLURM_JOB_ID", id, 1);
    setenv("SLURM_RESTART_COUNT", restart, 1);
  }
  json holder() const { return json::parse(std::ifstream(lock_)); }
  /// Leaves a lock as another process did, changed so many seconds ago.
  void leave_lock(const json& changes, int age = 0) const {
    json record;
    {
      const RunLock lock(dir_.path(), 1);
      record = holder();
    }
    record.update(changes);
    std::ofstream(lock_) << record;
    fs::last_write_time(lock_, fs::file_time_type::clock::now() - std::chrono::seconds(age));
  }
  std::string refusal() const {
    return error_of([this] { const RunLock lock(dir_.path(), 2); });
  }

  testing::TempDir dir_;
  std::string lock_ = dir_.file("lock");
};

TEST_F(RunLockTest, SaysWhoHoldsItAndIsGivenBack) {
  {
    be_job("77", "2");
    const RunLock lock(dir_.path(), 5);
    EXPECT_EQ(holder()["pid"], getpid());
    EXPECT_EQ(holder()["job"], "77");
    EXPECT_EQ(holder()["generation"], 5);
  }
  EXPECT_TRUE(fs::is_empty(dir_.path()));
}

TEST_F(RunLockTest, ASecondTrainerIsRefused) {
  const RunLock lock(dir_.path(), 1);
  EXPECT_THAT(refusal(), AllOf(HasSubstr("another trainer works in this folder"),
                               HasSubstr(std::to_string(getpid())), HasSubstr("--run-dir")));
  EXPECT_TRUE(fs::exists(lock_));
}

TEST_F(RunLockTest, TheLockOfADeadProcessIsTakenOver) {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  leave_lock({{"pid", child}});
  const RunLock lock(dir_.path(), 2);
  EXPECT_EQ(holder()["pid"], getpid());
}

TEST_F(RunLockTest, AProcessNumberThatWasUsedAgainIsNotTheHolder) {
  leave_lock({{"start", "1"}});
  const RunLock lock(dir_.path(), 2);
  EXPECT_EQ(holder()["generation"], 2);
}

TEST_F(RunLockTest, AnEarlierStartOfTheSameJobIsDead) {
  be_job("77", "1");
  leave_lock({{"host", "elsewhere"}, {"job_restart", "0"}});
  const RunLock lock(dir_.path(), 2);
  EXPECT_EQ(holder()["job_restart"], "1");
}

TEST_F(RunLockTest, ALockOfAnotherHostThatNobodyRefreshesIsTakenOver) {
  leave_lock({{"host", "elsewhere"}}, 119);  // two minutes are over in a second
  const RunLock lock(dir_.path(), 2);
  EXPECT_EQ(holder()["generation"], 2);
}

TEST_F(RunLockTest, ALockOfAnotherHostThatIsRefreshedIsRespected) {
  leave_lock({{"host", "elsewhere"}}, 60);
  std::thread other([this] {
    std::this_thread::sleep_for(std::chrono::milliseconds(1500));
    fs::last_write_time(lock_, fs::file_time_type::clock::now());
  });
  EXPECT_THAT(refusal(), HasSubstr("elsewhere"));
  other.join();
}

TEST_F(RunLockTest, ALockThatCannotBeReadIsNobodys) {
  std::ofstream(lock_) << "{\"host\": ";
  fs::last_write_time(lock_, fs::file_time_type::clock::now() - std::chrono::seconds(300));
  const RunLock lock(dir_.path(), 2);
  EXPECT_EQ(holder()["generation"], 2);
}

}  // namespace
}  // namespace galette

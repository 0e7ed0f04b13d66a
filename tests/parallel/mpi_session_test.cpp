// SPDX-License-Identifier: Apache-2.0
#include "parallel/mpi_session.h"

#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include "io/check.h"

namespace galette {
namespace {

/// Sets an environment variable, or removes it for a null value, until the end of the scope.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old, had_ = true;
    value != nullptr ? setenv(name, value, 1) : unsetenv(name);
  }
  ~ScopedVariable() { had_ ? setenv(name_, old_.c_str(), 1) : unsetenv(name_); }

 private:
  const char* name_;
  std::string old_;
  bool had_ = false;
};

TEST(CompleteWorld, MoreTasksThanRanksAreSingletons) {
  ScopedVariable launcher("OMPI_COMM_WORLD_SIZE", nullptr);
  ScopedVariable slurm("SLURM_NTASKS", "4");
  EXPECT_NO_THROW(require_complete_world(4));
  EXPECT_NO_THROW(require_complete_world(8));
  try {
    require_complete_world(1);
    FAIL() << "four tasks and a world of one must be refused";
  } catch (const InputError& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("SLURM_NTASKS=4"), std::string::npos) << text;
    EXPECT_NE(text.find("srun --mpi=pmix"), std::string::npos) << text;
  }
}

TEST(CompleteWorld, ALauncherOfAnotherMpiIsNoticed) {
  ScopedVariable launcher("PMI_SIZE", "2");
  EXPECT_THROW(require_complete_world(1), InputError);
}

}  // namespace
}  // namespace galette

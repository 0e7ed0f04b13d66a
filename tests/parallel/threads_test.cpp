// SPDX-License-Identifier: Apache-2.0
#include "parallel/threads.h"

#include <cstdlib>

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

namespace galette {
namespace {

TEST(FairThreads, RanksThatShareCoresDivideThem) {
  EXPECT_EQ(fair_threads({{0, 1}}, 0), 2);
  EXPECT_EQ(fair_threads({{0, 1}, {0, 1}}, 1), 1);
  EXPECT_EQ(fair_threads({{0, 1, 2, 3, 4, 5, 6}, {0, 1, 2, 3, 4, 5, 6}, {0, 1, 2, 3, 4, 5, 6}}, 2),
            2);
  EXPECT_EQ(fair_threads({{0, 1, 2}, {0, 1, 2}, {0, 1, 2}}, 0), 1);
}

TEST(FairThreads, RanksThatAreBoundKeepTheirCores) {
  EXPECT_EQ(fair_threads({{0, 1}, {2, 3, 4}}, 0), 2);
  EXPECT_EQ(fair_threads({{0, 1}, {2, 3, 4}}, 1), 3);
}

TEST(FairThreads, NeverLessThanOne) {
  EXPECT_EQ(fair_threads({{0}, {0}, {0}}, 1), 1);
  EXPECT_EQ(fair_threads({{}, {0}}, 0), 1);
}

TEST(DivideThreadsRanks, EnvironmentDecidesWhenItIsSet) {
  setenv("OMP_NUM_THREADS", "3", 1);
  const std::string line = divide_threads(MPI_COMM_WORLD);
  EXPECT_EQ(at::get_num_threads(), 3);
  EXPECT_NE(line.find("3 threads"), std::string::npos) << line;
  EXPECT_NE(line.find("OMP_NUM_THREADS"), std::string::npos) << line;
}

TEST(DivideThreadsRanks, TheRanksOfAHostDoNotExceedItsCores) {
  unsetenv("OMP_NUM_THREADS");
  divide_threads(MPI_COMM_WORLD);
  int size = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  const long cores = sysconf(_SC_NPROCESSORS_ONLN);
  EXPECT_LE(at::get_num_threads() * size, std::max<long>(cores, size));
  EXPECT_GE(at::get_num_threads(), 1);
}

}  // namespace
}  // namespace galette

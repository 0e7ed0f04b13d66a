// SPDX-License-Identifier: Apache-2.0
// The main function of every test program: starts MPI, insists on the number of ranks that the
// test was registered with, and fails on all ranks when it fails on one.
#include <cstdio>
#include <cstdlib>

#include <gtest/gtest.h>
#include <mpi.h>

int main(int argc, char** argv) {
  int granted = 0;
  if (MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &granted) != MPI_SUCCESS) return 1;
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  int size = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  const char* expected = std::getenv("GALETTE_TEST_RANKS");
  if (expected != nullptr && std::atoi(expected) != size) {
    std::fprintf(stderr, "this test wants %s ranks and was started on %d\n", expected, size);
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  ::testing::InitGoogleTest(&argc, argv);
  int failed = RUN_ALL_TESTS();
  // A filter that matches nothing would pass without testing anything.
  if (::testing::UnitTest::GetInstance()->test_to_run_count() == 0) {
    std::fprintf(stderr, "no test matched the filter\n");
    failed = 1;
  }
  int any_failed = 0;
  MPI_Allreduce(&failed, &any_failed, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
  MPI_Finalize();
  return any_failed;
}

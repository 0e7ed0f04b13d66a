// SPDX-License-Identifier: Apache-2.0
// jobs/train-mpirun.sh, which a scheduler without Slurm runs: asked to end, it lets the ranks save,
// and the next job goes on.
#include <cstdlib>
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/restart/tiny_run.h"

namespace galette::testing {
namespace {

constexpr const char* kOptions = "--batch=48 --kimg=1";

TEST(MpirunScript, ATermSavesAndTheNextJobGoesOn) {
  const TinyRun whole("without-script", 2, kOptions), run("with-script", 2, kOptions);
  ASSERT_EQ(whole.train().code, 0);
  const std::string codes = tiny_folder() + "/codes", log = tiny_folder() + "/script.log";
  const std::string script = fmt::format(
      R"(cd {source} && . tools/mpi-env.sh
export GALETTE={program} GALETTE_MPIRUN='mpirun -n 2' OMP_NUM_THREADS=1
job() {{ exec jobs/train-mpirun.sh {run} {options} >>{log} 2>&1; }}
: >{log}
job & pid=$!
for i in $(seq 300); do grep -q '^Training for' {log} && break; sleep 0.1; done
kill -TERM $pid; wait $pid; first=$?
(job); echo $first $? >{codes})",
      fmt::arg("source", GALETTE_TEST_DATA "/.."), fmt::arg("program", GALETTE_PROGRAM),
      fmt::arg("run", run.path()), fmt::arg("options", run.options()), fmt::arg("log", log),
      fmt::arg("codes", codes));
  const std::string file = tiny_folder() + "/script.sh";
  std::ofstream(file) << script;
  ASSERT_EQ(std::system((clean_environment() + "timeout 200 bash " + file).c_str()), 0);
  int first = -1, second = -1;
  std::ifstream(codes) >> first >> second;
  EXPECT_EQ(first, 85);
  EXPECT_EQ(second, 0);
  expect_equal_runs(run, whole);
}

}  // namespace
}  // namespace galette::testing

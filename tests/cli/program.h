// SPDX-License-Identifier: Apache-2.0
// Runs the galette program as a user does: under mpirun, in a clean environment.
#pragma once

#include <string>

namespace galette::testing {

struct Outcome {
  int code = -1;    ///< exit code of mpirun, which is that of the ranks
  std::string out;  ///< standard output of all ranks
  std::string err;  ///< standard error of all ranks and of mpirun
  double seconds = 0;

  /// Lines of `err` that the program wrote, without the prefix "galette: ".
  std::string complaint() const;
  /// How many those are.
  int complaints() const;
};

/// `env -i` and variables, to begin a command with: a test program has an MPI environment of its
/// own, which mpirun must not see.
std::string clean_environment();

/// `variables`: further environment, such as "A=1 B=2". A `timeout` in seconds ends a hanging run.
Outcome run_program(int ranks, const std::string& arguments, const std::string& variables = "",
                    int timeout = 60);

/// Runs `mpirun <arguments>`, for ranks with different arguments; @ stands for the program.
Outcome run_mpirun(const std::string& arguments, const std::string& variables = "",
                   int timeout = 60);

}  // namespace galette::testing

// SPDX-License-Identifier: Apache-2.0
// What the program tells the job script that started it.
#pragma once

namespace galette {

enum ExitCode : int {
  kExitDone = 0,
  kExitError = 1,          ///< something failed
  kExitUsage = 2,          ///< a wrong option or input: starting again as it is fails again
  kExitSavedGoOn = 85,     ///< stopped after a complete checkpoint: start the same command again
  kExitDoNotRestart = 86,  ///< stopped for a reason that a new start would meet again
};

/// For `--help`.
inline constexpr const char* kExitCodesText =
    "Exit codes:\n"
    "  0   done\n"
    "  1   something failed; the message says what\n"
    "  2   a wrong option or input: starting again as it is fails again\n"
    "  85  saved and stopped (signal, --time-limit, file STOP), or a hang with a checkpoint to go\n"
    "      on from: start the same command again\n"
    "  86  must not be started again as it is: restarts without progress, gradients that stay\n"
    "      broken, a file STOP that is still there\n"
    "others come from mpirun, srun or a signal: a rank was killed.";

}  // namespace galette

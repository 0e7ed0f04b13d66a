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

}  // namespace galette

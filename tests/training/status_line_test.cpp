// SPDX-License-Identifier: Apache-2.0
#include "training/status_line.h"

#include <gtest/gtest.h>

namespace galette {
namespace {

TEST(StatusLine, FieldsWidthsAndRemainingTime) {
  TickStatus status;
  status.tick = 12;
  status.kimg = 48.04;
  status.total_seconds = 3723;
  status.seconds_per_tick = 1412.44;
  status.seconds_per_kimg = 353.11;
  status.maintenance_seconds = 0.26;
  status.cpu_memory = 2.254;
  status.gpu_memory = 1.25;
  status.gpu_reserved = 10.5;
  status.augment = 0.1234;
  status.remaining_seconds = 90061;
  EXPECT_EQ(format_status_line(status),
            "tick 12    kimg 48.0     time 1h 02m 03s   sec/tick 1412.4  sec/kimg 353.11  "
            "maintenance 0.3    cpumem 2.25   gpumem 1.25   reserved 10.50  augment 0.123 "
            "eta 1d 01h 01m");
}

TEST(StatusLine, TheFirstTickKnowsNoRemainingTime) {
  EXPECT_EQ(format_status_line(TickStatus{}),
            "tick 0     kimg 0.0      time 0s           sec/tick 0.0     sec/kimg 0.00    "
            "maintenance 0.0    cpumem 0.00   gpumem 0.00   reserved 0.00   augment 0.000 eta ?");
}

}  // namespace
}  // namespace galette

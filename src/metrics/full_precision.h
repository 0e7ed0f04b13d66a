// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "models/network.h"

namespace galette {

/// While it lives, no layer of a network computes in 16 bits.
class FullPrecision {
 public:
  explicit FullPrecision(Network& network) : network_(network), before_(network.low_precision()) {
    network_.set_low_precision(std::nullopt);
  }
  FullPrecision(const FullPrecision&) = delete;
  FullPrecision& operator=(const FullPrecision&) = delete;
  ~FullPrecision() { network_.set_low_precision(before_); }

 private:
  Network& network_;
  std::optional<at::ScalarType> before_;
};

}  // namespace galette

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace galette {

/// A duration rounded to seconds: `12s`, `3m 04s`, `2h 03m 04s`, `1d 02h 03m`; `?` when unknown
/// (negative or not finite).
std::string format_duration(double seconds);

}  // namespace galette

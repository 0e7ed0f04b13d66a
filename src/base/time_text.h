// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace galette {

/// A duration rounded to seconds: `12s`, `3m 04s`, `2h 03m 04s`, `1d 02h 03m`; `?` when unknown
/// (negative or not finite).
std::string format_duration(double seconds);

/// Seconds of a duration given as minutes (`90`), `HH:MM`, `HH:MM:SS`, `D-HH`, `D-HH:MM` or
/// `D-HH:MM:SS`; nothing when it is none of these. Hours without days, and minutes alone, may be of
/// any size.
std::optional<double> parse_duration(std::string_view text);

}  // namespace galette

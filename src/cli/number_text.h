// SPDX-License-Identifier: Apache-2.0
// Option values that are several numbers. Each throws InputError that opens with `--option=text`
// when the text has another form.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace galette {

/// "0,1,4-6" -> 0, 1, 4, 5, 6: a comma list of whole numbers and spans, both ends included, of at
/// most `most`. At least one.
std::vector<uint32_t> parse_numbers(const std::string& option, const std::string& text,
                                    uint32_t most);

struct Extent {
  int64_t width = 0;
  int64_t height = 0;
};

/// "WxH" or "W,H", both at least 1.
Extent parse_extent(const std::string& option, const std::string& text);

/// "a,b" and "a,b,c,d": finite numbers.
std::array<double, 2> parse_pair(const std::string& option, const std::string& text);
std::array<double, 4> parse_four(const std::string& option, const std::string& text);

}  // namespace galette

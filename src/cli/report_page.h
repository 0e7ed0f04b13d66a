// SPDX-License-Identifier: Apache-2.0
// The page of `galette report`: src/cli/report/page.html with its style and scripts filled in.
#pragma once

#include <string_view>

namespace galette {

/// `{{data}}` stands where the JSON object of the runs goes.
extern const std::string_view kReportPage;

}  // namespace galette

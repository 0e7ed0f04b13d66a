// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace galette {

/// Bytes as text for `data:` addresses (RFC 4648, section 4).
std::string base64(std::span<const uint8_t> bytes);

}  // namespace galette

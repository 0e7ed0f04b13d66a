// SPDX-License-Identifier: Apache-2.0
// Host memory of this process, as Linux counts it.
#pragma once

#include <cstdint>

namespace galette {

/// Bytes of memory that this process holds now, and the most it ever held; 0 when unknown.
int64_t resident_bytes();
int64_t peak_resident_bytes();

}  // namespace galette

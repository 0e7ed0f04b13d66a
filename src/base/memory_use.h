// SPDX-License-Identifier: Apache-2.0
// Host memory of this process, as Linux counts it.
#pragma once

#include <cstdint>

namespace galette {

/// Bytes of memory that this process holds now, and the most it ever held; 0 when unknown.
int64_t resident_bytes();
int64_t peak_resident_bytes();

/// Keeps what is freed for the next allocation: large tensors as blocks of a cache, all else in
/// malloc, up to blocks of 1 GiB. By default glibc hands blocks above 32 MiB back to the kernel,
/// which then clears new pages for each of that size: 5 % of the time of a training step at
/// 128x128, batch 8. Call once, at the start.
void keep_freed_memory();

}  // namespace galette

// SPDX-License-Identifier: Apache-2.0
#include "base/memory_use.h"

#include <fstream>

#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/block_cache.h"

namespace galette {

int64_t resident_bytes() {
  int64_t total_pages = 0;
  int64_t resident_pages = 0;
  std::ifstream("/proc/self/statm") >> total_pages >> resident_pages;
  return resident_pages * sysconf(_SC_PAGESIZE);
}

int64_t peak_resident_bytes() {
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  return int64_t{usage.ru_maxrss} * 1024;  // Linux reports KiB
}

void keep_freed_memory() {
  keep_tensor_memory();
  // An old glibc refuses so high a threshold. Its own, which adapts itself, is then the best; the
  // second setting would freeze it at its start, 128 KiB.
  if (mallopt(M_MMAP_THRESHOLD, 1 << 30) == 1) mallopt(M_TRIM_THRESHOLD, -1);
}

}  // namespace galette

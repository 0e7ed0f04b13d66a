// SPDX-License-Identifier: Apache-2.0
// One binary for every CPU: a loop is compiled for the baseline and, on x86-64, again for AVX2 with
// fused multiply-add; the machine decides when it runs. The body and all that it calls must be
// force-inlined, or the second copy would call code of the first.
#pragma once

#define GALETTE_FORCE_INLINE __attribute__((always_inline))

namespace galette {

#if defined(__x86_64__)
template <class Body>
__attribute__((target("avx2,fma"))) void run_avx2(const Body& body) {
  body();
}

inline bool cpu_has_avx2() {
  static const bool has = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return has;
}
#endif

/// Runs body(), a lambda marked GALETTE_FORCE_INLINE, with the widest instructions available.
template <class Body>
void run_vectorised(const Body& body) {
#if defined(__x86_64__)
  if (cpu_has_avx2()) return run_avx2(body);
#endif
  body();
}

}  // namespace galette

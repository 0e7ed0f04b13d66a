// SPDX-License-Identifier: Apache-2.0
// One binary for every CPU: a loop is compiled for the baseline and, on x86-64, again for AVX2 with
// fused multiply-add, and for AVX-512 where its code says so; the machine decides when it runs. The
// body and all that it calls must be force-inlined, or a copy would call code of another.
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

template <class Body>
__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))) void run_avx512(
    const Body& body) {
  body();
}

inline bool cpu_has_avx512() {
  static const bool has = cpu_has_avx2() && __builtin_cpu_supports("avx512f") &&
                          __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  return has;
}
#endif

/// Runs body(), a lambda marked GALETTE_FORCE_INLINE, with AVX2 where available.
template <class Body>
void run_vectorised(const Body& body) {
#if defined(__x86_64__)
  if (cpu_has_avx2()) return run_avx2(body);
#endif
  body();
}

/// Bytes of the vectors that bodies written for a certain size should use.
inline int vector_bytes() {
#if defined(__x86_64__)
  if (cpu_has_avx512()) return 64;
#endif
  return 32;
}

/// The same for a body written for vectors of `Bytes`, as vector_bytes() says.
template <int Bytes, class Body>
void run_vectors_of(const Body& body) {
#if defined(__x86_64__)
  if constexpr (Bytes == 64) return run_avx512(body);
#endif
  run_vectorised(body);
}

}  // namespace galette

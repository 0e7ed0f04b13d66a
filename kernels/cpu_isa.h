// SPDX-License-Identifier: Apache-2.0
// One binary for every CPU: a loop is compiled for the baseline and, on x86-64, again for AVX2 with
// fused multiply-add, and for AVX-512 where its code says so; the machine decides when it runs. The
// body and all that it calls must be force-inlined, or a copy would call code of another.
#pragma once

#include <optional>
#include <string>
#include <type_traits>

#define GALETTE_FORCE_INLINE __attribute__((always_inline))

namespace galette {

/// Instruction sets, each with all of the ones before it.
enum class CpuIsa { baseline, avx2, avx512 };

/// The largest of this machine.
CpuIsa largest_cpu_isa();

/// The one in use: the largest, or what GALETTE_CPU=baseline|avx2|avx512 limits it to. Throws
/// std::runtime_error when that is wrong.
CpuIsa cpu_isa();

/// What is wrong with GALETTE_CPU, in words; nothing when it is fine.
std::optional<std::string> cpu_isa_error();

/// "x86-64", "AVX2" or "AVX-512".
const char* cpu_isa_name(CpuIsa isa);

/// While it lives, cpu_isa() is `isa` on all threads; the machine must have it.
class CpuIsaGuard {
 public:
  explicit CpuIsaGuard(CpuIsa isa);
  CpuIsaGuard(const CpuIsaGuard&) = delete;
  CpuIsaGuard& operator=(const CpuIsaGuard&) = delete;
  ~CpuIsaGuard();

 private:
  CpuIsa before_;
};

#if defined(__x86_64__)
template <class Body>
__attribute__((target("avx2,fma"))) void run_avx2(const Body& body) {
  body();
}

inline bool cpu_has_avx2() {
  return cpu_isa() >= CpuIsa::avx2;
}

template <class Body>
__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))) void run_avx512(
    const Body& body) {
  body();
}

inline bool cpu_has_avx512() {
  return cpu_isa() >= CpuIsa::avx512;
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

/// Calls f(bytes) with them as a constant of the type.
template <class F>
void with_vector_bytes(const F& f) {
#if defined(__x86_64__)
  if (vector_bytes() == 64) return f(std::integral_constant<int, 64>());
#endif
  f(std::integral_constant<int, 32>());
}

/// run_vectorised for a body written for vectors of `Bytes`, as vector_bytes() says.
template <int Bytes, class Body>
void run_vectors_of(const Body& body) {
#if defined(__x86_64__)
  if constexpr (Bytes == 64) return run_avx512(body);
#endif
  run_vectorised(body);
}

}  // namespace galette

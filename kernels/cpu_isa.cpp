// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu_isa.h"

#include <atomic>
#include <cstdlib>
#include <stdexcept>
#include <string_view>

namespace galette {
namespace {

struct Named {
  CpuIsa isa;
  std::string_view option;
  const char* name;
};
constexpr Named kNames[] = {{CpuIsa::baseline, "baseline", "x86-64"},
                            {CpuIsa::avx2, "avx2", "AVX2"},
                            {CpuIsa::avx512, "avx512", "AVX-512"}};

/// What the environment asks for; null without a wish, or with one that is not known.
const Named* requested() {
  const char* const text = std::getenv("GALETTE_CPU");
  for (const Named& named : kNames)
    if (text != nullptr && named.option == text) return &named;
  return nullptr;
}

std::atomic<CpuIsa>& current() {
  static std::atomic<CpuIsa> isa = [] {
    if (const std::optional<std::string> error = cpu_isa_error()) throw std::runtime_error(*error);
    return requested() != nullptr ? requested()->isa : largest_cpu_isa();
  }();
  return isa;
}

}  // namespace

CpuIsa largest_cpu_isa() {
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return CpuIsa::baseline;
  const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  return has_avx512 ? CpuIsa::avx512 : CpuIsa::avx2;
#else
  return CpuIsa::baseline;
#endif
}

CpuIsa cpu_isa() {
  return current().load(std::memory_order_relaxed);
}

std::optional<std::string> cpu_isa_error() {
  const char* const text = std::getenv("GALETTE_CPU");
  if (text == nullptr) return std::nullopt;
  const std::string given = std::string("GALETTE_CPU=") + text;
  if (requested() == nullptr) return given + ": give baseline, avx2 or avx512, or leave it unset";
  if (requested()->isa <= largest_cpu_isa()) return std::nullopt;
  return given + ": this machine has no " + requested()->name + "; give less, or leave it unset";
}

const char* cpu_isa_name(CpuIsa isa) {
  return kNames[static_cast<int>(isa)].name;
}

CpuIsaGuard::CpuIsaGuard(CpuIsa isa) : before_(cpu_isa()) {
  if (isa > largest_cpu_isa())
    throw std::runtime_error(std::string("this machine has no ") + cpu_isa_name(isa));
  current() = isa;
}

CpuIsaGuard::~CpuIsaGuard() {
  current() = before_;
}

}  // namespace galette

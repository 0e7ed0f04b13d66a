// SPDX-License-Identifier: Apache-2.0
#include "kernels/fir_plan.h"

namespace galette {

FirPlan::FirPlan(const UpFirDnAxis& a, int64_t s) : axis(a), split(s), phases(a.up * s) {
  int64_t last = 0;
  bool any = false;
  for (int64_t phase = 0; phase < std::min(a.up * s, a.out); ++phase) {
    for (int64_t k = 0; k < a.taps; ++k) {
      const int64_t position = phase * a.down + k - a.pad;
      if (floor_mod(position, a.up) != 0) continue;
      const int64_t sample = floor_div(position, a.up);
      const int64_t start = floor_div(sample, lines());
      phases[phase].push_back({k, floor_mod(sample, lines()), start});
      first = any ? std::min(first, start) : start;
      last = any ? std::max(last, start + count(phase)) : start + count(phase);
      any = true;
    }
  }
  line_length = last - first;
  for (auto& phase : phases)
    for (FirTap& tap : phase) tap.offset -= first;
  begin = std::clamp<int64_t>(first * lines(), 0, a.in);
  end = std::clamp<int64_t>(last * lines(), begin, a.in);
}

std::vector<FirMeeting> fir_meetings(const UpFirDnAxis& a) {
  const int64_t group = (a.taps + a.up - 1) / a.up;
  std::vector<FirMeeting> all;
  for (int64_t q = 0; q < a.out; ++q) {
    const int64_t position = q * a.down - a.pad;
    int64_t tap = floor_mod(-position, a.up);
    int64_t sample = floor_div(position + tap, a.up);
    if (sample < 0) {
      tap -= sample * a.up;
      sample = 0;
    }
    const int64_t left = floor_div(a.taps - tap + a.up - 1, a.up);
    const int64_t count = std::max<int64_t>(0, std::min(left, a.in - sample));
    all.push_back({sample, count, tap, count == 0 ? 0 : tap % a.up * group + tap / a.up});
  }
  return all;
}

std::vector<double> taps_by_phase(const UpFirDnAxis& a, const double* taps) {
  const int64_t group = (a.taps + a.up - 1) / a.up;
  std::vector<double> table(group * a.up, 0.0);
  for (int64_t k = 0; k < a.taps; ++k) table[k % a.up * group + k / a.up] = taps[k];
  return table;
}

}  // namespace galette

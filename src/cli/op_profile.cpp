// SPDX-License-Identifier: Apache-2.0
#include "cli/op_profile.h"

#include <algorithm>
#include <chrono>
#include <map>

namespace galette {
namespace {

using Clock = std::chrono::steady_clock;

struct Total {
  int64_t calls = 0;
  double seconds = 0;
};

struct OpenCall {
  Clock::time_point start;
  double inside = 0;  ///< seconds of the calls that it made
};

// LibTorch's callbacks are plain functions: what they count lives with the thread.
thread_local std::map<std::string, Total> totals;
thread_local std::vector<OpenCall> open_calls;

std::unique_ptr<at::ObserverContext> begin_call(const at::RecordFunction&) {
  open_calls.push_back({Clock::now()});
  return nullptr;
}

void end_call(const at::RecordFunction& call, at::ObserverContext*) {
  if (open_calls.empty()) return;  // it began before the profile did
  const std::chrono::duration<double> whole = Clock::now() - open_calls.back().start;
  Total& total = totals[call.name()];
  ++total.calls;
  total.seconds += whole.count() - open_calls.back().inside;
  open_calls.pop_back();
  if (!open_calls.empty()) open_calls.back().inside += whole.count();
}

}  // namespace

OpProfile::OpProfile() {
  totals.clear();
  open_calls.clear();
  callback_ = at::addThreadLocalCallback(
      at::RecordFunctionCallback(begin_call, end_call)
          .scopes({at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION}));
}

OpProfile::~OpProfile() {
  at::removeCallback(callback_);
}

nlohmann::ordered_json OpProfile::report() const {
  std::vector<std::pair<std::string, Total>> sorted(totals.begin(), totals.end());
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return a.second.seconds > b.second.seconds;
  });
  nlohmann::ordered_json lines = nlohmann::ordered_json::array();
  for (const auto& [name, total] : sorted)
    lines.push_back({{"op", name}, {"calls", total.calls}, {"seconds", total.seconds}});
  return lines;
}

}  // namespace galette

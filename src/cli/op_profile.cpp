// SPDX-License-Identifier: Apache-2.0
#include "cli/op_profile.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <string_view>

namespace galette {
namespace {

using Clock = std::chrono::steady_clock;

struct Total {
  int64_t calls = 0;
  int64_t operations = 0;  ///< calls that did work of their own
  double seconds = 0;
};

struct OpenCall {
  Clock::time_point start;
  double inside = 0;    ///< seconds of the calls that it made
  bool passes = false;  ///< whether one of those did the work
};

/// Operators that move and compute nothing unless another one does it for them: views, allocations,
/// and conversions that find nothing to convert.
bool is_free(std::string_view name) {
  if (name.starts_with("autograd::engine::")) return true;
  static const std::set<std::string_view> names{"detach",
                                                "aten::as_strided_",
                                                "aten::alias",
                                                "aten::as_strided",
                                                "aten::chunk",
                                                "aten::contiguous",
                                                "aten::detach",
                                                "aten::detach_",
                                                "aten::diagonal",
                                                "aten::empty",
                                                "aten::empty_like",
                                                "aten::empty_strided",
                                                "aten::expand",
                                                "aten::expand_as",
                                                "aten::flatten",
                                                "aten::lift",
                                                "aten::lift_fresh",
                                                "aten::movedim",
                                                "aten::narrow",
                                                "aten::permute",
                                                "aten::real",
                                                "aten::requires_grad_",
                                                "aten::reshape",
                                                "aten::resize_",
                                                "aten::resolve_conj",
                                                "aten::resolve_neg",
                                                "aten::result_type",
                                                "aten::select",
                                                "aten::set_",
                                                "aten::slice",
                                                "aten::split",
                                                "aten::split_with_sizes",
                                                "aten::squeeze",
                                                "aten::t",
                                                "aten::to",
                                                "aten::transpose",
                                                "aten::unbind",
                                                "aten::unfold",
                                                "aten::unsqueeze",
                                                "aten::view",
                                                "aten::view_as",
                                                "aten::_reshape_alias",
                                                "aten::_unsafe_view",
                                                "aten::is_nonzero",
                                                "aten::set_data",
                                                "aten::_has_compatible_shallow_copy_type"};
  return names.count(name) > 0;
}

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
  const bool passes = open_calls.back().passes;
  const bool works = !passes && call.scope() == at::RecordScope::FUNCTION && !is_free(call.name());
  if (works) ++total.operations;
  open_calls.pop_back();
  if (open_calls.empty()) return;
  open_calls.back().inside += whole.count();
  open_calls.back().passes |= passes || works;
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

std::vector<OpProfile::Count> OpProfile::operations() const {
  std::vector<Count> counts;
  for (const auto& [name, total] : totals) {
    if (total.operations > 0) counts.push_back({name, total.operations});
  }
  std::stable_sort(counts.begin(), counts.end(),
                   [](const Count& a, const Count& b) { return a.calls > b.calls; });
  return counts;
}

}  // namespace galette

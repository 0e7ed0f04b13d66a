// SPDX-License-Identifier: Apache-2.0
#include "parallel/hang_finder.h"

#include <algorithm>

#include <fmt/format.h>

namespace galette {
namespace {

/// A rank that sent nothing for this part of the limit, while others wait too long, is the cause.
constexpr double kSuspiciousSilence = 0.5;

double limit_of(const Heartbeat::Report& report, double limit) {
  return report.limit == 0 ? limit : report.limit;
}

bool waits_too_long(const RankView& rank, double limit) {
  const double allowed = limit_of(rank.report, limit);
  return allowed > 0 && rank.report.seconds + rank.silent >= allowed;
}

std::string place_of(const Heartbeat::Report& report) {
  return fmt::format("iteration {}, {}", report.iteration,
                     report.place.empty() ? "between sections" : report.place);
}

std::string silence_text(size_t rank, const RankView& view) {
  return fmt::format(
      "rank {} has given no sign of life for {:.0f} s: it was last seen in {}; its process or host "
      "is stopped, dead or cut off",
      rank, view.silent, place_of(view.report));
}

std::string waiting_text(const std::vector<RankView>& ranks, size_t slowest, size_t waiting) {
  std::string text = fmt::format("rank {} has been in {} for {:.0f} s", slowest,
                                 place_of(ranks[slowest].report), ranks[slowest].report.seconds);
  const bool others_wait = ranks[waiting].report.steps > ranks[slowest].report.steps;
  if (others_wait) {
    text += fmt::format(" while rank {} waits in {}", waiting, place_of(ranks[waiting].report));
  }
  return text;
}

}  // namespace

std::optional<std::string> find_hang(const std::vector<RankView>& ranks, double limit) {
  if (limit <= 0) return std::nullopt;
  const auto most_silent =
      std::max_element(ranks.begin(), ranks.end(),
                       [](const RankView& a, const RankView& b) { return a.silent < b.silent; });
  const auto late = std::find_if(ranks.begin(), ranks.end(),
                                 [&](const RankView& rank) { return waits_too_long(rank, limit); });
  const bool someone_waits = late != ranks.end();
  if (most_silent->silent >= (someone_waits ? kSuspiciousSilence : 1) * limit) {
    return silence_text(static_cast<size_t>(most_silent - ranks.begin()), *most_silent);
  }
  if (!someone_waits) return std::nullopt;
  const auto steps = [](const RankView& a, const RankView& b) {
    return a.report.steps < b.report.steps;
  };
  const auto [slowest, foremost] = std::minmax_element(ranks.begin(), ranks.end(), steps);
  return waiting_text(ranks, static_cast<size_t>(slowest - ranks.begin()),
                      static_cast<size_t>(foremost - ranks.begin()));
}

}  // namespace galette

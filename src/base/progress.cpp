// SPDX-License-Identifier: Apache-2.0
#include "base/progress.h"

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>
#include <unistd.h>

#include "base/log.h"
#include "base/time_text.h"

namespace galette {
namespace {

using Seconds = std::chrono::duration<double>;
constexpr Seconds kRedrawInterval{0.1};
constexpr int kBarWidth = 24;

}  // namespace

std::string progress_text(const std::string& title, double done, double total,
                          const std::string& unit, double rate) {
  const double part = total > 0 ? std::clamp(done / total, 0.0, 1.0) : 1.0;
  const int filled = static_cast<int>(part * kBarWidth);
  std::string text = fmt::format("{} [{:#>{}}{:.>{}}] {:3.0f}%  {:.1f}/{:.1f} {}", title, "",
                                 filled, "", kBarWidth - filled, 100 * part, done, total, unit);
  if (rate > 0) {
    text += fmt::format("  {:.2f} s/{}  ETA {}", rate, unit,
                        format_duration(std::max(total - done, 0.0) * rate));
  }
  return text;
}

ProgressBar::ProgressBar(std::string title, double total, std::string unit)
    : title_(std::move(title)),
      total_(total),
      unit_(std::move(unit)),
      enabled_(log::speaks() && isatty(STDERR_FILENO) != 0) {
  if (enabled_) log::set_before_line([this] { clear(); });
}

ProgressBar::~ProgressBar() {
  if (!enabled_) return;
  clear();
  log::set_before_line(nullptr);
}

void ProgressBar::update(double done) {
  if (!enabled_) return;
  const auto now = std::chrono::steady_clock::now();
  if (!started_) {
    started_ = true;
    first_done_ = done;
    start_ = now;
  } else if (drawn_ && now - last_draw_ < kRedrawInterval) {
    return;
  }
  const double progressed = done - first_done_;
  const double rate = progressed > 0 ? Seconds(now - start_).count() / progressed : 0;
  fmt::print(stderr, "\r{}\x1b[K", progress_text(title_, done, total_, unit_, rate));
  std::fflush(stderr);
  drawn_ = true;
  last_draw_ = now;
}

void ProgressBar::clear() {
  if (!drawn_) return;
  fmt::print(stderr, "\r\x1b[K");
  std::fflush(stderr);
  drawn_ = false;
}

}  // namespace galette

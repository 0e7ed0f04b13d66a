// SPDX-License-Identifier: Apache-2.0
// A progress bar on stderr when that is a terminal and this rank speaks; nothing otherwise, so that
// files hold plain lines only. Log lines appear above the bar.
#pragma once

#include <chrono>
#include <string>

namespace galette {

/// The text of a bar: `train [###.......]  32%  8.0/25.0 kimg  353.10 s/kimg  ETA 1h 40m 03s`.
/// `done` and `total` in `unit`; `rate` in seconds per unit, 0 when not known yet.
std::string progress_text(const std::string& title, double done, double total,
                          const std::string& unit, double rate);

class ProgressBar {
 public:
  ProgressBar(std::string title, double total, std::string unit);
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  /// Takes the bar off the terminal.
  ~ProgressBar();

  /// Redraws at most ten times a second. The rate is measured from the first call on.
  void update(double done);

 private:
  void clear();

  std::string title_;
  double total_;
  std::string unit_;
  bool enabled_;
  bool started_ = false;
  bool drawn_ = false;
  double first_done_ = 0;
  std::chrono::steady_clock::time_point start_, last_draw_;
};

}  // namespace galette

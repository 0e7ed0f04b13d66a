// SPDX-License-Identifier: Apache-2.0
#include "parallel/heartbeat.h"

#include <utility>

#include "base/clock.h"

namespace galette {

Heartbeat& Heartbeat::instance() {
  static Heartbeat heartbeat;
  return heartbeat;
}

void Heartbeat::set_iteration(int64_t iteration) {
  const std::lock_guard lock(mutex_);
  iteration_ = iteration;
}

void Heartbeat::enter(std::string_view section, double limit) {
  if (!is_main_thread()) return;
  const std::lock_guard lock(mutex_);
  if (limit == 0 && !sections_.empty()) limit = sections_.back().limit;
  sections_.push_back({std::string(section), limit});
  step();
}

void Heartbeat::leave() {
  if (!is_main_thread()) return;
  const std::lock_guard lock(mutex_);
  sections_.pop_back();
  step();
}

Heartbeat::Report Heartbeat::report() {
  const std::lock_guard lock(mutex_);
  const int64_t steps = steps_.load(std::memory_order_acquire);
  if (steps != seen_steps_) {
    seen_steps_ = steps;
    seen_since_ = Clock::now();
  }
  Report report{steps, iteration_, seconds_since(seen_since_), 0, ""};
  const auto add_place = [&](std::string_view name) {
    if (!report.place.empty()) report.place += ", ";
    report.place += name;
  };
  for (const Section& section : sections_) {
    add_place(section.name);
    report.limit = section.limit;
  }
  if (const char* const call = call_.load(std::memory_order_relaxed)) add_place(call);
  return report;
}

void Heartbeat::begin_job(std::string name, double limit) {
  const std::lock_guard lock(mutex_);
  job_ = RunningJob{std::move(name), Clock::now(), limit};
}

void Heartbeat::end_job() {
  const std::lock_guard lock(mutex_);
  job_.reset();
}

std::optional<Heartbeat::Job> Heartbeat::job() const {
  const std::lock_guard lock(mutex_);
  if (!job_) return std::nullopt;
  return Job{job_->name, seconds_since(job_->begin), job_->limit};
}

}  // namespace galette

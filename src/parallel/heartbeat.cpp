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

void Heartbeat::step() {
  ++steps_;
  last_step_ = Clock::now();
}

void Heartbeat::enter(std::string_view section, double limit) {
  if (std::this_thread::get_id() != owner_) return;
  const std::lock_guard lock(mutex_);
  if (limit == 0 && !sections_.empty()) limit = sections_.back().limit;
  sections_.push_back({std::string(section), limit});
  step();
}

void Heartbeat::leave() {
  if (std::this_thread::get_id() != owner_) return;
  const std::lock_guard lock(mutex_);
  sections_.pop_back();
  step();
}

Heartbeat::Report Heartbeat::report() const {
  const std::lock_guard lock(mutex_);
  Report report{steps_, iteration_, seconds_since(last_step_), 0, ""};
  for (const Section& section : sections_) {
    if (!report.place.empty()) report.place += ", ";
    report.place += section.name;
    report.limit = section.limit;
  }
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

// SPDX-License-Identifier: Apache-2.0
#include "training/run_keeper.h"

#include <algorithm>
#include <filesystem>

#include "base/clock.h"
#include "base/exit_code.h"
#include "base/log.h"
#include "base/time_text.h"
#include "io/check.h"
#include "io/together.h"

namespace galette {
namespace {

constexpr double kSecondsPerMinute = 60;
constexpr double kMillisecondsPerSecond = 1000;
/// An iteration and a save may take longer than the longest so far.
constexpr double kTimeMargin = 2;
/// Writing is watched by its own deadline.
constexpr double kNoLimit = -1;

std::optional<double> time_limit(const TrainOptions& options) {
  return options.time_limit == "none" ? std::nullopt : parse_duration(options.time_limit);
}

SaverOptions saver_options(const RunSurroundings& surroundings) {
  const TrainOptions& options = surroundings.options;
  SaverOptions result;
  result.folder = surroundings.run.path();
  result.keep = static_cast<size_t>(options.keep);
  result.writer = checkpoint_writer(options);
  result.deadline = options.io_deadline;
  result.on_saved = [&watchdog = surroundings.watchdog] { watchdog.set_exit_code(kExitSavedGoOn); };
  return result;
}

std::string file_name(const std::string& path) {
  return std::filesystem::path(path).filename();
}

}  // namespace

io::CheckpointWriter checkpoint_writer(const TrainOptions& options) {
  return options.io == "rank0" ? io::CheckpointWriter::rank0 : io::CheckpointWriter::collective;
}

RunKeeper::RunKeeper(const RunSurroundings& surroundings)
    : s_(surroundings),
      stop_request_(s_.signals, s_.run.path(), time_limit(s_.options), s_.start,
                    s_.comm.rank() == 0),
      saver_(saver_options(s_), s_.comm.handle()),
      best_(s_.options.keep_best),
      last_checkpoint_(Clock::now()) {
  io::on_root(s_.comm.handle(), [&] {
    io::sweep_checkpoint_temporaries(s_.run.path());
    record_.emplace(s_.run.path());
    generation_ = record_->generation() + 1;
  });
  MPI_CHECK(MPI_Bcast(&generation_, 1, MPI_INT64_T, 0, s_.comm.handle()));
}

std::string RunKeeper::load(io::CheckpointContent& content) {
  const std::string& restart = s_.options.restart;
  std::string path = restart;
  if (restart == "never") {
    path = "";
  } else if (restart == "auto" || restart == "anew") {
    const auto none_valid = restart == "anew" ? io::NoneValid::start_anew : io::NoneValid::refuse;
    const io::LoadedCheckpoint loaded =
        io::load_newest_checkpoint(s_.run.path(), content, s_.comm.handle(), none_valid);
    for (const std::string& why : loaded.rejected) log::warning("{}", why);
    path = loaded.path;
  } else {
    io::read_checkpoint(path, content, s_.comm.handle());
  }
  s_.log.go_back_to(path.empty() ? 0 : content.state.value("log_bytes", int64_t{0}),
                    s_.comm.handle());
  if (path.empty()) return path;
  saver_.spare(path);
  // Without the file, the next value is the best one.
  if (s_.comm.all(std::filesystem::exists(s_.run.file(best_.file_name())))) {
    best_.load(content.state);
  }
  s_.watchdog.set_exit_code(kExitSavedGoOn);
  return path;
}

bool RunKeeper::may_start(int64_t iteration) {
  bool allowed = true;
  bool stop_file = false;
  io::on_root(s_.comm.handle(), [&] {
    stop_file = std::filesystem::exists(s_.run.file(kStopFile));
    allowed = stop_file || record_->note_start(iteration);
  });
  allowed = !s_.comm.any(!allowed);
  stop_file = s_.comm.any(stop_file);
  if (stop_file) {
    log::error("{}: asks this run to stop; remove the file to go on", s_.run.file(kStopFile));
  } else if (!allowed) {
    log::error(
        "{}: {} restarts in a row came no further than iteration {}; look for the cause in "
        "log.txt, then start again",
        s_.run.path(), kRestartsWithoutProgress, iteration);
  }
  return allowed && !stop_file;
}

void RunKeeper::complete_state(nlohmann::json& state) const {
  state["log_bytes"] = s_.comm.rank() == 0 ? s_.log.size() : 0;  // rank 0's state is written
  state["generation"] = generation_;
  best_.save(state);
}

RunKeeper::Verdict RunKeeper::agree() {
  const WatchedSection section("agreement");
  report_save();
  if (iteration_begin_) {
    longest_iteration_ = std::max(longest_iteration_, seconds_since(*iteration_begin_));
    iteration_begin_.reset();
  }
  const StopVote own = vote();
  const bool due =
      seconds_since(last_checkpoint_) >= kSecondsPerMinute * s_.options.checkpoint_every;
  // Clocks differ; rank 0's decides.
  at::Tensor votes = at::tensor({static_cast<int>(own.level), own.reason,
                                 s_.comm.rank() == 0 && due ? 1 : 0, saver_.busy() ? 1 : 0},
                                at::kInt);
  s_.comm.all_reduce(votes, ReduceOp::max);
  const int* v = votes.const_data_ptr<int>();
  return {static_cast<StopLevel>(v[0]), v[1], v[2] != 0 && v[3] == 0};
}

StopVote RunKeeper::vote() {
  return stop_request_.vote(kTimeMargin * (longest_iteration_ + longest_save_));
}

bool RunKeeper::is_asked_to_stop() {
  return vote().level != StopLevel::none;
}

void RunKeeper::begin_iteration(int64_t iteration) {
  best_.drop_offer();
  Heartbeat::instance().set_iteration(iteration);
  iteration_begin_ = Clock::now();
}

void RunKeeper::save(int64_t iteration, const io::CheckpointContent& content) {
  const WatchedSection section("checkpoint", kNoLimit);
  report_save();
  saver_.save(iteration, content,
              s_.options.checkpoint_sync ? SaveMode::synchronous : SaveMode::in_background,
              best_.begin_save());
  last_checkpoint_ = Clock::now();
}

void RunKeeper::save_and_wait(int64_t iteration, const io::CheckpointContent& content) {
  finish_save();
  const WatchedSection section("checkpoint", kNoLimit);
  saver_.save(iteration, content, SaveMode::synchronous, best_.begin_save());
  report_save();
  if (last_error_.empty()) return;
  throw std::runtime_error(
      fmt::format("the run could not be saved before its end, so a new start goes on from an older "
                  "checkpoint: {}",
                  last_error_));
}

void RunKeeper::finish_save() {
  const WatchedSection section("end of a background save", kNoLimit);
  saver_.wait();
  report_save();
}

void RunKeeper::report_save() {
  const auto report = saver_.take_report();
  if (!report) return;
  last_error_ = report->error;
  longest_save_ = std::max(longest_save_, report->seconds);
  if (report->error.empty()) {
    log::info("Saved {} in {:.2f} s; training waited {:.1f} ms.", file_name(report->path),
              report->seconds, kMillisecondsPerSecond * report->stall);
  } else {
    log::warning("{} could not be saved; older checkpoints stay and training goes on: {}",
                 file_name(report->path), report->error);
  }
  report_best(*report);
}

void RunKeeper::report_best(const SaveReport& report) {
  if (best_.end_save(report.error.empty() && report.name_error.empty())) {
    log::info("{} is the best so far, and stays as {}.", file_name(report.path), best_.file_name());
  } else if (!report.name_error.empty()) {
    log::warning("the best checkpoint could not be kept; training goes on: {}", report.name_error);
  }
}

}  // namespace galette

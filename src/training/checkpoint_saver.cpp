// SPDX-License-Identifier: Apache-2.0
#include "training/checkpoint_saver.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/clock.h"
#include "io/check.h"
#include "io/durable.h"
#include "io/together.h"
#include "parallel/heartbeat.h"

namespace galette {
namespace {

/// What work() throws, or nothing.
std::string error_of(const std::function<void()>& work) {
  try {
    work();
    return "";
  } catch (const std::exception& error) {
    return error.what();
  }
}

/// Tells the watchdog of a write while it lives.
class WatchedJob {
 public:
  WatchedJob(const std::string& name, double limit) {
    Heartbeat::instance().begin_job(name, limit);
  }
  WatchedJob(const WatchedJob&) = delete;
  WatchedJob& operator=(const WatchedJob&) = delete;
  ~WatchedJob() { Heartbeat::instance().end_job(); }
};

}  // namespace

CheckpointSaver::CheckpointSaver(SaverOptions options, MPI_Comm comm)
    : options_(std::move(options)) {
  MPI_CHECK(MPI_Comm_dup(comm, &comm_));
  MPI_CHECK(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN));
}

CheckpointSaver::~CheckpointSaver() {
  wait();
  MPI_Comm_free(&comm_);
}

bool CheckpointSaver::busy() const {
  return report_.valid() && report_.wait_for(std::chrono::seconds(0)) != std::future_status::ready;
}

void CheckpointSaver::wait() const {
  if (report_.valid()) report_.wait();
}

void CheckpointSaver::save(int64_t iteration, const io::CheckpointContent& content, SaveMode mode,
                           const std::string& further_name) {
  TORCH_CHECK(!report_.valid(), "a save was begun before the last one was reported");
  const Clock::time_point start = Clock::now();
  const std::string path = options_.folder + "/" + io::checkpoint_name(iteration);
  if (mode == SaveMode::synchronous) {
    const bool on_host = std::all_of(content.arrays.begin(), content.arrays.end(),
                                     [](const auto& array) { return array.values.is_cpu(); });
    std::promise<SaveReport> done;
    done.set_value(write(path, on_host ? content : copy_of(content), further_name));
    report_ = done.get_future();
  } else {
    report_ = std::async(std::launch::async, [this, path, copy = copy_of(content), further_name] {
      return write(path, copy, further_name);
    });
  }
  stall_ = seconds_since(start);
}

std::optional<SaveReport> CheckpointSaver::take_report() {
  if (!report_.valid() || busy()) return std::nullopt;
  SaveReport report = report_.get();
  report.stall = stall_;
  return report;
}

/// Pages of a copy that are never written to take no memory, so a copy costs this rank's share.
io::CheckpointContent CheckpointSaver::copy_of(const io::CheckpointContent& content) {
  io::CheckpointContent copy{{}, content.state};
  copies_.resize(content.arrays.size());
  for (size_t i = 0; i < content.arrays.size(); ++i) {
    const auto& [name, values, slices] = content.arrays[i];
    if (!copies_[i].defined()) {
      // A GPU writes to pinned memory at the full speed of its bus.
      const auto host = at::TensorOptions(values.dtype()).pinned_memory(values.is_cuda());
      copies_[i] = at::empty(values.sizes(), host);
    }
    io::written_share(copies_[i], options_.writer, comm_)
        .copy_(io::written_share(values, options_.writer, comm_));
    copy.arrays.push_back({name, copies_[i], slices});
  }
  return copy;
}

SaveReport CheckpointSaver::write(const std::string& path, const io::CheckpointContent& content,
                                  const std::string& further_name) {
  const WatchedJob job("writing " + path, options_.deadline);
  const Clock::time_point start = Clock::now();
  SaveReport report;
  report.path = path;
  report.error = error_of([&] {
    io::write_checkpoint(path, content, comm_, options_.writer, &form_);
    options_.on_saved();
    io::on_root(comm_,
                [&] { io::prune_checkpoints(options_.folder, options_.keep, options_.spared); });
  });
  if (report.error.empty() && !further_name.empty()) {
    report.name_error = error_of([&] {
      io::on_root(comm_, [&] { io::link_durably(path, options_.folder + "/" + further_name); });
    });
  }
  report.seconds = seconds_since(start);
  return report;
}

}  // namespace galette

// SPDX-License-Identifier: Apache-2.0
#include "training/tick_log.h"

#include "base/log.h"
#include "base/memory_use.h"
#include "io/durable.h"
#include "parallel/gpu.h"
#include "training/status_line.h"

namespace galette {
namespace {

constexpr double kGiB = 1 << 30;
constexpr double kSecondsPerHour = 3600;
constexpr double kSecondsPerDay = 24 * kSecondsPerHour;

}  // namespace

TickLog::TickLog(const std::string& path, const TrainState& state, double seconds,
                 int64_t total_images, bool is_root)
    : total_images_(total_images), tick_start_seconds_(seconds), tick_start_images_(state.images) {
  if (!is_root) return;
  io::truncate_after(path, "/Progress~1tick/mean", static_cast<double>(state.tick) - 1);
  rows_.emplace(path);
  events_.emplace(io::parent_folder(path));
}

void TickLog::end_tick(const TrainState& state, double seconds, Statistics& statistics,
                       Communicator& comm) {
  const double tick_seconds = seconds - tick_start_seconds_;
  const double kimg = static_cast<double>(state.images - tick_start_images_) / 1000;
  TickStatus status;
  status.tick = state.tick;
  status.kimg = static_cast<double>(state.images) / 1000;
  status.total_seconds = seconds;
  status.seconds_per_tick = tick_seconds;
  status.seconds_per_kimg = kimg > 0 ? tick_seconds / kimg : 0;
  status.maintenance_seconds = maintenance_seconds_;
  status.cpu_memory = static_cast<double>(resident_bytes()) / kGiB;
  const at::Device device = state.g->arena().options().device();
  const GpuMemory gpu_memory = take_peak_gpu_memory(device);
  status.gpu_memory = static_cast<double>(gpu_memory.allocated) / kGiB;
  status.gpu_reserved = static_cast<double>(gpu_memory.reserved) / kGiB;
  status.augment = state.ada.p();
  status.remaining_seconds =
      status.seconds_per_kimg *
      static_cast<double>(std::max<int64_t>(0, total_images_ - state.images)) / 1000;
  if (comm.rank() == 0) {
    statistics.report("Progress/tick", static_cast<double>(status.tick));
    statistics.report("Progress/kimg", status.kimg);
    statistics.report("Progress/augment", status.augment);
    statistics.report("Timing/total_sec", status.total_seconds);
    statistics.report("Timing/sec_per_tick", status.seconds_per_tick);
    statistics.report("Timing/sec_per_kimg", status.seconds_per_kimg);
    statistics.report("Timing/maintenance_sec", status.maintenance_seconds);
    statistics.report("Timing/total_hours", status.total_seconds / kSecondsPerHour);
    statistics.report("Timing/total_days", status.total_seconds / kSecondsPerDay);
    statistics.report("Resources/cpu_mem_gb", status.cpu_memory);
    if (device.is_cuda()) {
      statistics.report("Resources/peak_gpu_mem_gb", status.gpu_memory);
      statistics.report("Resources/peak_gpu_mem_reserved_gb", status.gpu_reserved);
    }
  }
  log::info("{}", format_status_line(status));
  statistics.collect(comm);
  tick_end_seconds_ = seconds;
  tick_start_images_ = state.images;
}

void TickLog::write_row(const Statistics& statistics, double seconds, const std::string& sheet) {
  maintenance_seconds_ = seconds - tick_end_seconds_;
  tick_start_seconds_ = seconds;
  if (rows_) {
    nlohmann::ordered_json row = statistics.to_json();
    row["timestamp"] =
        std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
    rows_->append(row);
    events_->add(row, sheet);
  }
}

}  // namespace galette

// SPDX-License-Identifier: Apache-2.0
// `galette bench checkpoint` saves and loads a state of random numbers: four arrays, 1,500 named
// tensors. What it compares with is durable too: MPI_File_write_at_all and MPI_File_sync of the
// same bytes by all ranks, and write and fsync by one process (dd conv=fsync). Each number is the
// median of several runs, of the slowest rank.
#include "cli/bench_checkpoint.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>

#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/option_table.h"
#include "cli/bench_timing.h"
#include "io/check.h"
#include "io/checkpoint_form.h"
#include "io/descriptor.h"
#include "io/together.h"
#include "parallel/mpi_communicator.h"
#include "parallel/watchdog.h"
#include "training/checkpoint_saver.h"
#include "training/stats.h"
#include "training/stop_request.h"

namespace galette {
namespace {

constexpr double kBytesPerGb = 1e9;
constexpr int64_t kBytesPerMb = 1'000'000;
constexpr int64_t kArrays = 4;
constexpr int64_t kNames = 1500;
constexpr int64_t kPiece = int64_t{1} << 28;  // bytes of one call; MPI's counts are ints

struct BenchOptions {
  std::string dir = ".";
  int64_t size = 256;
  int64_t repeat = 5;
  std::string io = "collective";
  bool json = false;
};

struct BenchCommand {
  BenchOptions options;
  OptionTable table;

  BenchCommand() {
    const Defines nothing = Defines::nothing;
    table.add("dir", nothing, options.dir, "folder, on the file system to be measured");
    table.add("size", nothing, options.size, "size of the state in MB", {1, 1'000'000});
    table.add("repeat", nothing, options.repeat, "runs of each measurement", {1, 1000});
    table.add("io", nothing, options.io, "who writes", {"collective", "rank0"});
    table.add_flag("json", options.json, "print one JSON object");
  }
};

/// The same on all ranks.
io::CheckpointContent random_content(int64_t bytes) {
  const auto elements = bytes / kArrays / static_cast<int64_t>(sizeof(float));
  const int64_t part = elements / (kNames / kArrays);
  io::CheckpointContent content;
  for (int64_t i = 0; i < kArrays; ++i) {
    auto generator = at::detail::createCPUGenerator(static_cast<uint64_t>(i));
    io::FlatArray array{fmt::format("array{}", i), at::rand({elements}, generator), {}};
    for (int64_t k = 0; k < kNames / kArrays; ++k) {
      array.slices.push_back({fmt::format("network{}/b{}.weight", i, k), {part}, k * part});
    }
    content.arrays.push_back(std::move(array));
  }
  content.state = {{"iteration", 1}};
  return content;
}

/// A file that all ranks write by MPI's own means.
class MpiFile {
 public:
  MpiFile(const std::string& path, MPI_Comm comm) {
    MPI_CHECK(MPI_File_open(comm, path.c_str(), MPI_MODE_CREATE | MPI_MODE_WRONLY, MPI_INFO_NULL,
                            &file_));
  }
  MpiFile(const MpiFile&) = delete;
  MpiFile& operator=(const MpiFile&) = delete;
  ~MpiFile() {
    if (file_ != MPI_FILE_NULL) MPI_File_close(&file_);
  }
  void write(const char* data, int64_t bytes, int64_t offset) {
    MPI_CHECK(MPI_File_write_at_all(file_, offset, data, static_cast<int>(bytes), MPI_BYTE,
                                    MPI_STATUS_IGNORE));
  }
  void sync_and_close() {
    MPI_CHECK(MPI_File_sync(file_));
    MPI_CHECK(MPI_File_close(&file_));
  }

 private:
  MPI_File file_ = MPI_FILE_NULL;
};

void write_with_mpi(const std::string& path, const io::CheckpointContent& content, MPI_Comm comm) {
  MpiFile file(path, comm);
  int64_t begin = 0;  // of the array in the file
  for (const auto& array : content.arrays) {
    const auto* data = static_cast<const char*>(array.values.const_data_ptr());
    const auto bytes = static_cast<int64_t>(array.values.nbytes());
    const int64_t share = (bytes + io::comm_size(comm) - 1) / io::comm_size(comm);
    const int64_t first = std::min(bytes, share * io::comm_rank(comm));
    const int64_t mine = std::min(share, bytes - first);
    for (int64_t done = 0; done < share; done += kPiece) {  // as often on all ranks
      const int64_t from = std::min(mine, done);
      file.write(data + first + from, std::min(kPiece, mine - from), begin + first + from);
    }
    begin += bytes;
  }
  file.sync_and_close();
}

[[noreturn]] void throw_system_error(const std::string& path) {
  throw std::runtime_error(fmt::format("{}: {}", path, std::strerror(errno)));
}

void write_alone(const std::string& path, const io::CheckpointContent& content) {
  const io::Descriptor file(path, O_WRONLY | O_CREAT | O_TRUNC);
  for (const auto& array : content.arrays) {
    const auto* data = static_cast<const char*>(array.values.const_data_ptr());
    const auto bytes = static_cast<int64_t>(array.values.nbytes());
    for (int64_t done = 0; done < bytes;) {
      const ssize_t written =
          ::write(file.id(), data + done, static_cast<size_t>(std::min(kPiece, bytes - done)));
      if (written <= 0) throw_system_error(path);
      done += written;
    }
  }
  if (::fsync(file.id()) != 0) throw_system_error(path);
}

void read_alone(const std::string& path, at::Tensor into) {
  const io::Descriptor file(path, O_RDONLY);
  auto* data = static_cast<char*>(into.data_ptr());
  for (int64_t left = into.numel(); left > 0;) {
    const ssize_t got = ::read(file.id(), data, static_cast<size_t>(std::min(kPiece, left)));
    if (got <= 0) throw_system_error(path);
    data += got;
    left -= got;
  }
}

class CheckpointBench {
 public:
  CheckpointBench(const BenchOptions& options, MpiCommunicator& comm)
      : o_(options),
        comm_(comm),
        writer_(options.io == "rank0" ? io::CheckpointWriter::rank0
                                      : io::CheckpointWriter::collective),
        content_(random_content(options.size * kBytesPerMb)),
        dir_(options.dir + "/galette-bench-checkpoint") {
    io::on_root(comm_.handle(), [&] { std::filesystem::create_directories(dir_); });
    for (const auto& array : content_.arrays) bytes_ += static_cast<int64_t>(array.values.nbytes());
  }
  CheckpointBench(const CheckpointBench&) = delete;
  CheckpointBench& operator=(const CheckpointBench&) = delete;
  ~CheckpointBench() {
    std::error_code ignored;
    if (comm_.rank() == 0) std::filesystem::remove_all(dir_, ignored);
  }

  nlohmann::ordered_json measure() {
    nlohmann::ordered_json result{
        {"ranks", comm_.size()}, {"bytes", bytes_}, {"io", o_.io}, {"repeat", o_.repeat}};
    measure_writing(result);
    measure_reading(result);
    measure_stall(result);
    measure_border(result);
    return result;
  }

 private:
  double speed(double seconds) const { return static_cast<double>(bytes_) / kBytesPerGb / seconds; }
  std::string file(const char* name) const { return dir_ + "/" + name; }

  /// Of new files, as each checkpoint is one.
  double writing_speed(const char* name, const std::function<void()>& write) {
    const auto remove = [&] { io::on_root(comm_.handle(), [&] { ::unlink(file(name).c_str()); }); };
    return speed(median_seconds(write, o_.repeat, comm_, remove));
  }

  void measure_writing(nlohmann::ordered_json& result) {
    const MPI_Comm comm = comm_.handle();
    result["first_save_gb_per_s"] = writing_speed(
        "first.h5", [&] { io::write_checkpoint(file("first.h5"), content_, comm, writer_); });
    io::on_root(comm, [&] { std::filesystem::remove(file("first.h5")); });
    io::CheckpointForm form;
    result["save_gb_per_s"] = writing_speed("saved.h5", [&] {
      io::write_checkpoint(file("saved.h5"), content_, comm, writer_, &form);
    });
    result["mpi_write_gb_per_s"] =
        writing_speed("mpi", [&] { write_with_mpi(file("mpi"), content_, comm); });
    result["write_fsync_gb_per_s"] = writing_speed(
        "alone", [&] { io::on_root(comm, [&] { write_alone(file("alone"), content_); }); });
  }

  void measure_reading(nlohmann::ordered_json& result) {
    io::CheckpointContent into = random_content(o_.size * kBytesPerMb);
    result["load_gb_per_s"] = speed(median_seconds(
        [&] { io::read_checkpoint(file("saved.h5"), into, comm_.handle()); }, o_.repeat, comm_));
    const auto size = static_cast<int64_t>(std::filesystem::file_size(file("saved.h5")));
    at::Tensor plain = at::empty({size}, at::kByte);
    result["read_gb_per_s"] = speed(median_seconds(
        [&] {
          if (comm_.rank() == 0) read_alone(file("saved.h5"), plain);
        },
        o_.repeat, comm_));
  }

  void measure_stall(nlohmann::ordered_json& result) {
    SaverOptions options;
    options.folder = dir_;
    options.writer = writer_;
    CheckpointSaver saver(options, comm_.handle());
    std::string error;
    const auto settle = [&] {
      saver.wait();
      if (const auto report = saver.take_report()) error = report->error;
    };
    int64_t iteration = 0;
    const double stall =
        median_seconds([&] { saver.save(++iteration, content_, SaveMode::in_background); },
                       o_.repeat, comm_, settle);
    settle();
    if (!error.empty()) throw std::runtime_error(error);
    result["stall_ms"] = 1000 * stall;

    io::CheckpointContent copy = random_content(o_.size * kBytesPerMb);
    const double seconds = median_seconds(
        [&] {
          for (size_t i = 0; i < copy.arrays.size(); ++i) {
            copy.arrays[i].values.copy_(content_.arrays[i].values);
          }
        },
        o_.repeat, comm_);
    result["copy_ms"] = 1000 * seconds;
  }

  /// What an iteration pays for the watchdog, the agreement at its end, and statistics: sections,
  /// votes and reports as many as the trainer makes.
  void measure_border(nlohmann::ordered_json& result) {
    constexpr int kSteps = 200, kSections = 12, kReports = 10;
    constexpr double kLimit = 300;
    const PreemptionSignals signals;
    StopRequest request(signals, dir_, std::nullopt, StopRequest::Clock::now(), comm_.rank() == 0);
    Statistics statistics;
    Watchdog watchdog(comm_.handle(), kLimit);
    const double seconds = median_seconds(
        [&] {
          for (int step = 0; step < kSteps; ++step) {
            for (int i = 0; i < kSections; ++i) const WatchedSection section("section");
            for (int i = 0; i < kReports; ++i) statistics.report("Timing/Gmain", 1.0);
            const StopVote vote = request.vote(0);
            at::Tensor votes =
                at::tensor({static_cast<int>(vote.level), vote.reason, 0, 0}, at::kInt);
            comm_.all_reduce(votes, ReduceOp::max);
          }
        },
        o_.repeat, comm_);
    watchdog.stop();
    result["border_us"] = 1e6 * seconds / kSteps;
  }

  const BenchOptions& o_;
  MpiCommunicator& comm_;
  io::CheckpointWriter writer_;
  io::CheckpointContent content_;
  std::string dir_;
  int64_t bytes_ = 0;
};

void print_table(const nlohmann::ordered_json& r) {
  const auto number = [&](const char* name) { return r[name].get<double>(); };
  log::info("{:.0f} MB of state, {} rank(s), --io={}", number("bytes") / kBytesPerMb,
            r["ranks"].get<int>(), r["io"].get<std::string>());
  log::info("save                    {:7.2f} GB/s; the first of a run {:.2f}",
            number("save_gb_per_s"), number("first_save_gb_per_s"));
  log::info("MPI_File_write_at_all   {:7.2f} GB/s: saving reaches {:.0f} % of it",
            number("mpi_write_gb_per_s"),
            100 * number("save_gb_per_s") / number("mpi_write_gb_per_s"));
  log::info("write and fsync         {:7.2f} GB/s, by one process", number("write_fsync_gb_per_s"));
  log::info("load                    {:7.2f} GB/s", number("load_gb_per_s"));
  log::info("plain read              {:7.2f} GB/s, by one process: loading reaches {:.0f} % of it",
            number("read_gb_per_s"), 100 * number("load_gb_per_s") / number("read_gb_per_s"));
  log::info("stall of a save         {:7.2f} ms, {:.2f} times a copy of the state ({:.2f} ms)",
            number("stall_ms"), number("stall_ms") / number("copy_ms"), number("copy_ms"));
  log::info("border of an iteration  {:7.1f} us: stop flags, watchdog, statistics",
            number("border_us"));
}

int bench_checkpoint(const BenchOptions& options) {
  return run_bench(
      options.json, [&](MpiCommunicator& comm) { return CheckpointBench(options, comm).measure(); },
      [](const nlohmann::ordered_json& result, const std::string&) { print_table(result); });
}

}  // namespace

void add_bench_checkpoint(CLI::App& bench, Action& action) {
  CLI::App* sub = bench.add_subcommand(
      "checkpoint", "Times saving and loading beside plain writing and reading of the same bytes");
  auto command = std::make_shared<BenchCommand>();
  command->table.add_to(*sub);
  sub->callback(
      [command, &action] { action = [command] { return bench_checkpoint(command->options); }; });
}

}  // namespace galette

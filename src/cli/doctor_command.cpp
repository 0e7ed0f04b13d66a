// SPDX-License-Identifier: Apache-2.0
// Checks are made by all ranks together, one after the other; each ends with one line, and a failed
// one does not keep the next from being made. A rank that hangs in one is named by the watchdog.
#include "cli/doctor_command.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "base/clock.h"
#include "base/exit_code.h"
#include "base/host_name.h"
#include "base/log.h"
#include "base/option_table.h"
#include "cli/bench_timing.h"
#include "cli/version.h"
#include "io/check.h"
#include "io/checkpoint.h"
#include "io/dataset_file.h"
#include "io/together.h"
#include "parallel/device_choice.h"
#include "parallel/heartbeat.h"
#include "parallel/mpi_communicator.h"
#include "parallel/mpi_session.h"
#include "parallel/threads.h"
#include "parallel/watchdog.h"

namespace galette {
namespace {

constexpr double kBytesPerGb = 1e9;
constexpr double kHangSeconds = 60;  ///< that a check may take on a rank without getting on
constexpr int64_t kReduceElements = int64_t{1} << 24;  ///< float32: 64 MiB
constexpr int64_t kFileElements = int64_t{1} << 24;
constexpr int64_t kImagesOfARank = 64;

struct DoctorOptions {
  std::string dir = ".";
  std::string data;
  bool json = false;
};

OptionTable doctor_options(DoctorOptions& o) {
  const Defines nothing = Defines::nothing;
  OptionTable table;
  table.add("dir", nothing, o.dir, "folder of future runs, where a checkpoint is written and read");
  table.add("data", nothing, o.data, "dataset that every rank is to read").default_text("none");
  table.add_flag("json", o.json, "print one JSON object");
  return table;
}

struct DoctorCommand {
  DoctorOptions options;
  OptionTable table = doctor_options(options);
};

enum class Verdict { ok, warning, failed };

const char* verdict_text(Verdict verdict) {
  switch (verdict) {
    case Verdict::ok:
      return "ok";
    case Verdict::warning:
      return "WARNING";
    case Verdict::failed:
      return "FAILED";
  }
  return "";
}

/// What a check found, equal on all ranks.
struct Finding {
  Verdict verdict = Verdict::ok;
  std::string text;
};

/// The texts of all ranks, in their order. Collective.
std::vector<std::string> texts_of_ranks(const std::string& text, Communicator& comm) {
  std::vector<std::string> texts;
  for (int rank = 0; rank < comm.size(); ++rank) texts.push_back(comm.broadcast(text, rank));
  return texts;
}

class Doctor {
 public:
  Doctor(const DoctorOptions& options, MpiCommunicator& comm) : o_(options), comm_(comm) {}

  /// Makes all checks; whether none failed. Collective.
  bool examine() {
    check("program", [this] { return program(); });
    check("ranks", [this] { return ranks(); });
    check("threads", [this] { return threads(); });
    check("GPUs", [this] { return gpus(); });
    check("all-reduce", [this] { return all_reduce(); });
    check("checkpoint", [this] { return checkpoint(); });
    if (!o_.data.empty()) check("dataset", [this] { return dataset(); });
    if (o_.json) log::info("{}", report_.dump());
    return all_well_;
  }

 private:
  void check(const std::string& name, const std::function<Finding()>& work) {
    const WatchedSection section(name);
    Finding finding;
    try {
      finding = work();
    } catch (const std::exception& error) {
      finding = {Verdict::failed, error.what()};
    }
    if (finding.verdict == Verdict::failed) all_well_ = false;
    const char* verdict = verdict_text(finding.verdict);
    report_[name] = {{"verdict", verdict}, {"text", finding.text}};
    if (!o_.json) log::info("{:<8} {:<11} {}", verdict, name, finding.text);
  }

  Finding program() {
    std::string text = version_text();
    for (size_t at = text.find('\n'); at != std::string::npos; at = text.find('\n', at))
      text.replace(at, 1, "; ");
    if (texts_of_ranks(text, comm_) != std::vector<std::string>(size_t(comm_.size()), text))
      return {Verdict::failed, "the ranks run different builds: install one for all hosts"};
    return {Verdict::ok, text};
  }

  Finding ranks() {
    require_complete_world(comm_.size());
    std::map<std::string, int> count;
    for (const std::string& host : texts_of_ranks(host_name(), comm_)) ++count[host];
    std::vector<std::string> texts;
    bool even = true;
    for (const auto& [host, ranks] : count) {
      texts.push_back(fmt::format("{} on {}", ranks, host));
      even &= ranks == count.begin()->second;
    }
    const std::string text = fmt::format("{} in all: {}", comm_.size(), fmt::join(texts, ", "));
    if (even) return {Verdict::ok, text};
    return {Verdict::warning, text + "; hosts with more ranks slow down the others"};
  }

  Finding threads() {
    const std::string own = divide_threads(comm_.handle());
    std::vector<std::string> texts;
    for (const std::string& text : texts_of_ranks(own, comm_)) {
      if (std::find(texts.begin(), texts.end(), text) == texts.end()) texts.push_back(text);
    }
    int local = 0;
    MPI_Comm host = MPI_COMM_NULL;
    MPI_CHECK(MPI_Comm_split_type(comm_.handle(), MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &host));
    MPI_CHECK(MPI_Comm_size(host, &local));
    MPI_CHECK(MPI_Comm_free(&host));
    const long cores = ::sysconf(_SC_NPROCESSORS_ONLN);
    const std::string text = fmt::format("{}", fmt::join(texts, "; "));
    if (!comm_.any(int64_t{local} * at::get_num_threads() > cores)) return {Verdict::ok, text};
    return {Verdict::warning, text + "; more threads than cores: lower OMP_NUM_THREADS"};
  }

  Finding gpus() {
    const auto own = at::globalContext().hasCUDA()
                         ? static_cast<int64_t>(at::detail::getCUDAHooks().deviceCount())
                         : int64_t{0};
    const std::vector<std::string> texts = texts_of_ranks(std::to_string(own), comm_);
    if (comm_.max(static_cast<double>(own)) == 0)
      return {Verdict::ok, "none is visible: training uses CPUs"};
    choose_device(DeviceWish::automatic, comm_);  // throws when a rank is left without one
    return {Verdict::ok, fmt::format("visible to the ranks: {}; each rank takes one of its own",
                                     fmt::join(texts, ", "))};
  }

  /// Sums whose exact results are known, then the speed of large ones.
  Finding all_reduce() {
    const int64_t n = comm_.size();
    at::Tensor values = at::arange(kReduceElements, at::kFloat).remainder_(1024);
    const int64_t sum = n * (n + 1) / 2;  // of 1, 2, ... n
    const at::Tensor expected = values * static_cast<double>(sum);
    values.mul_(comm_.rank() + 1);
    comm_.all_reduce(values, ReduceOp::sum);
    if (!comm_.all(at::equal(values, expected)))
      return {Verdict::failed, "sums of small whole numbers are wrong: check MPI and the network"};
    values.zero_();
    const double seconds =
        median_seconds([&] { comm_.all_reduce(values, ReduceOp::sum); }, 5, comm_);
    const double bytes = kReduceElements * sizeof(float);
    return {Verdict::ok, fmt::format("right; 64 MiB in {:.1f} ms, {:.2f} GB/s", 1000 * seconds,
                                     bytes / kBytesPerGb / seconds)};
  }

  /// Written and read by all ranks, as a run does.
  Finding checkpoint() {
    const std::string folder = o_.dir + "/galette-doctor";
    const auto remove = [&] {
      std::error_code ignored;
      if (comm_.rank() == 0) std::filesystem::remove_all(folder, ignored);
    };
    io::on_root(comm_.handle(), [&] { make_folder(folder); });
    try {
      const Finding finding = write_and_read(folder + "/checkpoint.h5");
      remove();
      return finding;
    } catch (...) {
      remove();
      throw;
    }
  }

  void make_folder(const std::string& folder) const {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error)
      throw InputError(fmt::format("--dir={}: cannot be written to: {}", o_.dir, error.message()));
  }

  Finding write_and_read(const std::string& path) {
    const at::Tensor values = at::arange(kFileElements, at::kFloat);
    const double gb = static_cast<double>(values.nbytes()) / kBytesPerGb;
    io::CheckpointContent content{{{"values", values, {{"x", {kFileElements}, 0}}}}, {{"a", 1}}};
    Clock::time_point begin = Clock::now();
    io::write_checkpoint(path, content, comm_.handle());
    const double write = comm_.max(seconds_since(begin));
    content.arrays[0].values = at::zeros_like(values);
    begin = Clock::now();
    io::read_checkpoint(path, content, comm_.handle());
    const double read = comm_.max(seconds_since(begin));
    if (!comm_.all(at::equal(content.arrays[0].values, values)))
      return {Verdict::failed, fmt::format("{}: what was read is not what was written", path)};
    return {Verdict::ok, fmt::format("64 MiB in {}, by all ranks: written at {:.2f} GB/s, read at "
                                     "{:.2f} GB/s",
                                     o_.dir, gb / write, gb / read)};
  }

  /// Opened by all ranks; each reads images of its own, spread over the file.
  Finding dataset() {
    std::string text;
    double seconds = 0;
    io::together(comm_.handle(), [&] {
      const io::Dataset data = io::Dataset::open(o_.data);
      const auto& info = data.info();
      std::vector<int64_t> items;
      for (int64_t i = 0; i < kImagesOfARank; ++i) {
        items.push_back((i * comm_.size() + comm_.rank()) * info.num_images /
                        (kImagesOfARank * comm_.size()));
      }
      const Clock::time_point begin = Clock::now();
      data.images(items);
      seconds = seconds_since(begin);
      text = fmt::format("{}: {} images of {}x{}, {} channels", o_.data, info.num_images,
                         info.resolution, info.resolution, info.channels);
    });
    return {Verdict::ok, fmt::format("{}; {:.0f} images/s on each rank", text,
                                     kImagesOfARank / comm_.max(seconds))};
  }

  const DoctorOptions& o_;
  MpiCommunicator& comm_;
  nlohmann::ordered_json report_;
  bool all_well_ = true;
};

int examine(const DoctorOptions& options) {
  MpiCommunicator comm(MPI_COMM_WORLD);
  Watchdog watchdog(comm.handle(), kHangSeconds);
  const bool well = Doctor(options, comm).examine();
  watchdog.stop();
  return well ? kExitDone : kExitError;
}

}  // namespace

void add_doctor_command(CLI::App& app, Action& action) {
  CLI::App* sub = app.add_subcommand(
      "doctor", "Checks a cluster: start it as a training will be, such as with srun");
  auto command = std::make_shared<DoctorCommand>();
  command->table.add_to(*sub);
  sub->callback([command, &action] { action = [command] { return examine(command->options); }; });
}

}  // namespace galette

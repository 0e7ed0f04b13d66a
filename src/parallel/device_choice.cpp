// SPDX-License-Identifier: Apache-2.0
#include "parallel/device_choice.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/host_name.h"
#include "io/check.h"
#include "parallel/gpu.h"

namespace galette {
namespace {

/// Gives each rank of a host a GPU of its own, moving earlier ranks to others where that helps.
class HostAssignment {
 public:
  explicit HostAssignment(const std::vector<const RankDevices*>& ranks)
      : ranks_(ranks), gpus_(ranks.size(), -1) {}

  /// Whether every rank got one.
  bool assign() {
    for (size_t rank = 0; rank < ranks_.size(); ++rank) {
      tried_.clear();
      if (!find_gpu(rank)) return false;
    }
    return true;
  }
  int gpu(size_t rank) const { return gpus_[rank]; }

 private:
  bool find_gpu(size_t rank) {
    const std::vector<std::string>& ids = ranks_[rank]->gpus;
    for (size_t i = 0; i < ids.size(); ++i) {
      if (owner_.count(ids[i]) == 0) return take(rank, i);
    }
    for (size_t i = 0; i < ids.size(); ++i) {
      if (tried_.insert(ids[i]).second && find_gpu(owner_.at(ids[i]))) return take(rank, i);
    }
    return false;
  }

  bool take(size_t rank, size_t index) {
    owner_[ranks_[rank]->gpus[index]] = rank;
    gpus_[rank] = static_cast<int>(index);
    return true;
  }

  const std::vector<const RankDevices*>& ranks_;
  std::vector<int> gpus_;
  std::map<std::string, size_t> owner_;
  std::set<std::string> tried_;
};

std::string counted(size_t number, const char* what) {
  return fmt::format("{} {}{}", number, what, number == 1 ? "" : "s");
}

[[noreturn]] void throw_too_few(const std::string& host,
                                const std::vector<const RankDevices*>& ranks) {
  std::set<std::string> ids;
  for (const RankDevices* rank : ranks) ids.insert(rank->gpus.begin(), rank->gpus.end());
  if (ids.size() < ranks.size()) {
    throw InputError(fmt::format(
        "host {} has {} for {}: start as many ranks there as it has GPUs, or give --device=cpu",
        host, counted(ids.size(), "visible GPU"), counted(ranks.size(), "rank")));
  }
  throw InputError(
      fmt::format("host {}: two ranks would share a GPU, since some see only GPUs that others "
                  "need; let each rank see all GPUs of the host or one of its own "
                  "(CUDA_VISIBLE_DEVICES), or give --device=cpu",
                  host));
}

std::string to_text(const RankDevices& devices) {
  return nlohmann::json{devices.host, devices.gpus}.dump();
}

RankDevices from_text(const std::string& text) {
  const nlohmann::json pair = nlohmann::json::parse(text);
  return {pair.at(0).get<std::string>(), pair.at(1).get<std::vector<std::string>>()};
}

}  // namespace

void add_device_option(OptionTable& table, std::string& device) {
  table.add("device", Defines::nothing, device,
            "what to compute on; auto: GPUs where any is visible, one for each rank, else CPUs",
            {"auto", "cpu", "cuda"});
}

DeviceWish device_wish(const std::string& text) {
  if (text == "cpu") return DeviceWish::cpu;
  return text == "cuda" ? DeviceWish::cuda : DeviceWish::automatic;
}

std::vector<int> choose_devices(const std::vector<RankDevices>& ranks, DeviceWish wish,
                                bool built_with_cuda) {
  std::vector<int> choice(ranks.size(), -1);
  const bool sees_any = std::any_of(ranks.begin(), ranks.end(),
                                    [](const RankDevices& rank) { return !rank.gpus.empty(); });
  if (wish == DeviceWish::cpu || (wish == DeviceWish::automatic && !sees_any)) return choice;
  if (!built_with_cuda) {
    throw InputError(
        "--device=cuda: this program was built without CUDA; configure it with -DGALETTE_CUDA=ON, "
        "or give --device=cpu");
  }
  std::map<std::string, std::vector<size_t>> hosts;
  for (size_t rank = 0; rank < ranks.size(); ++rank) hosts[ranks[rank].host].push_back(rank);
  for (const auto& [host, members] : hosts) {
    std::vector<const RankDevices*> devices;
    for (const size_t rank : members) devices.push_back(&ranks[rank]);
    HostAssignment assignment(devices);
    if (!assignment.assign()) throw_too_few(host, devices);
    for (size_t i = 0; i < members.size(); ++i) choice[members[i]] = assignment.gpu(i);
  }
  return choice;
}

at::Device device_of(int gpu) {
  if (gpu < 0) return at::kCPU;
  return {at::kCUDA, static_cast<c10::DeviceIndex>(gpu)};
}

std::unique_ptr<Communicator> make_device_communicator(const DeviceChoice& choice,
                                                       const MpiCommunicator& comm) {
  if (choice.gpu < 0) return nullptr;
  use_gpu(choice.gpu);
  return make_gpu_communicator(comm, choice.gpu);
}

DeviceChoice choose_device(DeviceWish wish, Communicator& comm) {
  const std::string own = to_text({host_name(), visible_gpus()});
  std::vector<RankDevices> ranks;
  for (int rank = 0; rank < comm.size(); ++rank)
    ranks.push_back(from_text(comm.broadcast(own, rank)));
  const std::vector<int> choice = choose_devices(ranks, wish, is_built_with_cuda());
  const int gpu = choice[static_cast<size_t>(comm.rank())];
  if (gpu >= 0) return {gpu, "CUDA, a GPU for each rank"};
  if (wish == DeviceWish::cpu) return {gpu, "CPU"};
  return {gpu, is_built_with_cuda() ? "CPU (no GPU is visible)" : "CPU (built without CUDA)"};
}

}  // namespace galette

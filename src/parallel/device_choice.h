// SPDX-License-Identifier: Apache-2.0
// Which device each rank of a run computes on: a GPU of its own, or the CPU. All ranks of a run use
// the same kind.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/option_table.h"
#include "parallel/mpi_communicator.h"

namespace galette {

/// What --device asks for. `automatic`: GPUs where any rank sees one, else CPUs.
enum class DeviceWish { automatic, cpu, cuda };

/// Adds --device, which takes auto, cpu or cuda.
void add_device_option(OptionTable& table, std::string& device);

/// From auto, cpu or cuda.
DeviceWish device_wish(const std::string& text);

/// What one rank reports.
struct RankDevices {
  std::string host;
  std::vector<std::string> gpus;  ///< PCI ids, in the order in which the rank numbers them
};

/// The GPU of each rank, by the rank's own numbers, or -1 for the CPU on all. No two ranks of a
/// host get the same PCI id, whatever numbers they give it; where all ranks of a host see the same
/// GPUs, they take them in order. Throws InputError, which names the host, when GPUs are to be used
/// and a rank is left without one, or when there are none at all and `wish` is cuda.
/// `built_with_cuda`: whether this program could use a GPU.
std::vector<int> choose_devices(const std::vector<RankDevices>& ranks, DeviceWish wish,
                                bool built_with_cuda);

struct DeviceChoice {
  int gpu = -1;      ///< of this rank; -1: the CPU
  std::string text;  ///< what all ranks use, and why, for the user
};

/// GPU `gpu` of this rank, or the CPU for -1.
at::Device device_of(int gpu);

/// A communicator for tensors on the GPU chosen, which this thread then uses; null on CPUs, where
/// `comm` does. Collective.
std::unique_ptr<Communicator> make_device_communicator(const DeviceChoice& choice,
                                                       const MpiCommunicator& comm);

/// Asks all ranks, and decides. Collective; all ranks throw what choose_devices() throws.
DeviceChoice choose_device(DeviceWish wish, Communicator& comm);

}  // namespace galette

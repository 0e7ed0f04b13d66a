// SPDX-License-Identifier: Apache-2.0
#include "cli/device_option.h"

#include <ATen/Context.h>

#include "parallel/device_choice.h"
#include "parallel/gpu.h"

namespace galette {

at::Device use_device(const std::string& wish, Communicator& comm) {
  const DeviceChoice choice = choose_device(device_wish(wish), comm);
  if (choice.gpu >= 0) use_gpu(choice.gpu);
  at::globalContext().setAllowTF32CuDNN(false);
  at::globalContext().setAllowTF32CuBLAS(false);
  return device_of(choice.gpu);
}

}  // namespace galette

// SPDX-License-Identifier: Apache-2.0
#include "training/consistency.h"

#include "io/checksum.h"

namespace galette {

std::string inconsistent_array(const TrainState& state, Communicator& comm) {
  for (const io::FlatArray& array : state.arrays()) {
    const at::Tensor values = array.values.to(at::kCPU).contiguous();
    if (!comm.agree(io::crc32c(values.const_data_ptr(), values.nbytes()))) return array.name;
  }
  return "";
}

}  // namespace galette

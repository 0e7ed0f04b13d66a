// SPDX-License-Identifier: Apache-2.0
// A trained generator out of a file, ready to make images.
#pragma once

#include <memory>
#include <string>

#include "io/network_file.h"
#include "models/network.h"

namespace galette {

/// The network G_ema of a snapshot or of safetensors that galette wrote, in float32 on a device,
/// with frozen tensors. Throws InputError naming the file when it holds no such network, or one
/// that this version does not know, or whose tensors do not fit.
std::unique_ptr<Generator> load_generator(const std::string& path, at::Device device = at::kCPU);

/// The same of a file that was read already; `path` is for messages.
std::unique_ptr<Generator> generator_from(const std::string& path, const io::NetworkFile& file,
                                          const std::string& network = "G_ema",
                                          at::Device device = at::kCPU);

}  // namespace galette

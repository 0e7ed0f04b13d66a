// SPDX-License-Identifier: Apache-2.0
// Weights of a network from a file of any kind that holds tensors by name: PyTorch's (see
// torch_file.h) or safetensors.
#pragma once

#include <map>
#include <string>

#include <ATen/ATen.h>

namespace galette::io {

/// Throws InputError when the file is of another kind, and as the readers of its kind do.
std::map<std::string, at::Tensor> read_weights(const std::string& path);

/// SHA-256 of a file, in hexadecimal digits. Throws InputError when it cannot be read.
std::string file_digest(const std::string& path);

}  // namespace galette::io

// SPDX-License-Identifier: Apache-2.0
// State dictionaries as PyTorch saves them: a ZIP archive without compression, with a pickle of the
// names, shapes and types, and a member for each tensor's bytes. torch.load reads them, also with
// weights_only=True.
#pragma once

#include <map>
#include <string>

#include <ATen/ATen.h>

namespace galette::io {

/// Writes a file, by way of `path`.tmp and an atomic rename, synced to the storage. Tensors may be
/// on any device. On one rank. Throws std::runtime_error naming the path, or the tensor when its
/// type is not one of float64, float32, float16, bfloat16, int64, int32, int16, int8, uint8, bool.
void write_torch_file(const std::string& path, const std::map<std::string, at::Tensor>& tensors);

}  // namespace galette::io

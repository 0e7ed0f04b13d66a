// SPDX-License-Identifier: Apache-2.0
// Safetensors files, which many programs exchange tensors in: an unsigned 64-bit length of the
// header (little-endian), the header in JSON
//   {"__metadata__": {"key": "text"}, "name": {"dtype": "F32", "shape": [2, 3],
//                                              "data_offsets": [begin, end]}, ...}
// and the tensors' bytes, row-major and little-endian, without gaps; offsets count from the end of
// the header. Types: F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL.
#pragma once

#include <map>
#include <string>

#include <ATen/ATen.h>

namespace galette::io {

struct SafetensorsFile {
  std::map<std::string, at::Tensor> tensors;
  std::map<std::string, std::string> metadata;
};

/// Writes a file, by way of `path`.tmp and an atomic rename, synced to the storage. Tensors may be
/// on any device. On one rank. Throws std::runtime_error naming the path, or the tensor when its
/// type is none of the above.
void write_safetensors(const std::string& path, const SafetensorsFile& file);

/// Reads all of a file into host memory; what the header claims is checked against the file's size
/// before memory is taken for it. Throws InputError when the file is missing or holds a type that
/// is not known here, DamagedFile when it is cut off or its header makes no sense.
SafetensorsFile read_safetensors(const std::string& path);

}  // namespace galette::io

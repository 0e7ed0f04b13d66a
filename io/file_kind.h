// SPDX-License-Identifier: Apache-2.0
// What kind of file something is, by its first bytes and not by its name.
#pragma once

#include <string>

namespace galette::io {

enum class FileKind {
  hdf5,
  safetensors,
  pickle,  ///< Python objects, among them the published networks
  zip,     ///< among them PyTorch's weight files
  other,
};

/// Throws InputError when the file is missing, a folder or unreadable.
FileKind file_kind(const std::string& path);

}  // namespace galette::io

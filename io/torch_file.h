// SPDX-License-Identifier: Apache-2.0
// Tensors from PyTorch's files (.pth, .pt, .bin): a dictionary from names to tensors, as the legacy
// stream or as a ZIP archive (<prefix>/data.pkl, <prefix>/data/<key>), or a TorchScript module, in
// an archive of the same form with code beside it. Nothing is executed: pickles are read as data,
// and code is not looked at.
#pragma once

#include <map>
#include <string>

#include <ATen/ATen.h>

namespace galette::io {

/// All tensors of a file, contiguous, in their own types. Of a dictionary with an entry
/// "state_dict" it is that entry's; tensors of modules are named by the path of attributes
/// ("layers.conv1.weight"). Other entries are left out. Throws InputError when the file is none of
/// these, holds no tensors or names what it must not, DamagedFile when it is cut off or makes no
/// sense.
std::map<std::string, at::Tensor> read_torch_file(const std::string& path);

}  // namespace galette::io

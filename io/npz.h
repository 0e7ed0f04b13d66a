// SPDX-License-Identifier: Apache-2.0
// NumPy's archives of arrays, as numpy.savez writes and numpy.load reads them: a ZIP file with a
// member name.npy per array, each a header in Python's notation and the values, little-endian and
// row-major. Types: float32, float64.
#pragma once

#include <map>
#include <string>

#include <ATen/ATen.h>

namespace galette::io {

/// By way of `path`.tmp and a rename. Throws std::runtime_error naming the path.
void write_npz(const std::string& path, const std::map<std::string, at::Tensor>& arrays);

/// One array of an archive. Throws InputError naming the file when it is missing, no archive, or
/// the array is not in it, of another type, in another order, or cut off.
at::Tensor read_npz(const std::string& path, const std::string& name);

}  // namespace galette::io

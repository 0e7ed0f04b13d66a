// SPDX-License-Identifier: Apache-2.0
// Element types: tensors' to HDF5's.
#include <c10/util/Exception.h>

#include "io/check.h"
#include "io/hdf5.h"

namespace galette::io {
namespace {

/// IEEE binary16, little-endian, which HDF5 knows as a format but has no name for. Lives as long as
/// the process.
hid_t half_type() {
  static const hid_t type = [] {
    constexpr size_t kBits = 16, kMantissa = 10, kExponent = 5, kBias = 15;
    const hid_t half = H5_CHECK(H5Tcopy(H5T_IEEE_F32LE));
    H5_CHECK(H5Tset_fields(half, kBits - 1, kMantissa, kExponent, 0, kMantissa));
    H5_CHECK(H5Tset_size(half, kBits / 8));
    H5_CHECK(H5Tset_ebias(half, kBias));
    H5_CHECK(H5Tlock(half));
    return half;
  }();
  return type;
}

}  // namespace

hid_t h5_native_type(at::ScalarType type) {
  switch (type) {
    case at::kByte:
      return H5T_NATIVE_UINT8;
    case at::kUInt32:
      return H5T_NATIVE_UINT32;
    case at::kUInt64:
      return H5T_NATIVE_UINT64;
    case at::kInt:
      return H5T_NATIVE_INT32;
    case at::kLong:
      return H5T_NATIVE_INT64;
    case at::kHalf:
      return half_type();
    case at::kFloat:
      return H5T_NATIVE_FLOAT;
    case at::kDouble:
      return H5T_NATIVE_DOUBLE;
    default:
      TORCH_CHECK(false, "tensors of type ", type, " cannot be kept in an HDF5 file");
  }
}

hid_t h5_file_type(at::ScalarType type) {
  switch (type) {
    case at::kByte:
      return H5T_STD_U8LE;
    case at::kUInt32:
      return H5T_STD_U32LE;
    case at::kUInt64:
      return H5T_STD_U64LE;
    case at::kInt:
      return H5T_STD_I32LE;
    case at::kLong:
      return H5T_STD_I64LE;
    case at::kHalf:
      return half_type();
    case at::kFloat:
      return H5T_IEEE_F32LE;
    case at::kDouble:
      return H5T_IEEE_F64LE;
    default:
      TORCH_CHECK(false, "tensors of type ", type, " cannot be kept in an HDF5 file");
  }
}

}  // namespace galette::io

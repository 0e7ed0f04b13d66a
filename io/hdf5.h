// SPDX-License-Identifier: Apache-2.0
// HDF5 for tensors: RAII handles and the few operations that Galette's files need.
// Names are paths inside the file ("group/name"); missing groups are made on the way.
// Supported element types: uint8, int32, int64, float16, float32, float64 (and bool, read as uint8).
#pragma once

#include <ATen/ATen.h>
#include <hdf5.h>
#include <mpi.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace galette::io {

/// Owns an HDF5 identifier and closes it with the function given.
class H5Handle {
 public:
  using Close = herr_t (*)(hid_t);
  H5Handle() = default;
  H5Handle(hid_t id, Close close) : id_(id), close_(close) {}
  H5Handle(H5Handle&& other) noexcept
      : id_(std::exchange(other.id_, -1)), close_(std::exchange(other.close_, nullptr)) {}
  H5Handle& operator=(H5Handle&& other) noexcept;
  ~H5Handle() { reset(); }
  operator hid_t() const { return id_; }  // NOLINT: a handle stands for its id in every HDF5 call
  /// Closes now and reports a failure, which the destructor cannot.
  void close_checked();

 private:
  void reset() noexcept;
  hid_t id_ = -1;
  Close close_ = nullptr;
};

class H5File {
 public:
  /// Opens for reading on this rank alone. Throws InputError when the file is missing or is not HDF5.
  static H5File open(const std::string& path);
  /// Creates (truncates) on this rank alone.
  static H5File create(const std::string& path);
  /// Creates on all ranks of a communicator, with collective metadata. Collective.
  static H5File create_parallel(const std::string& path, MPI_Comm comm);
  /// Opens for reading on all ranks of a communicator. Collective.
  static H5File open_parallel(const std::string& path, MPI_Comm comm);

  const std::string& path() const { return path_; }
  hid_t id() const { return file_; }

  bool exists(const std::string& name) const;
  /// Names of the links of a group, in alphabetical order; "/" is the root.
  std::vector<std::string> list(const std::string& group) const;
  bool is_group(const std::string& name) const;
  std::vector<int64_t> shape(const std::string& name) const;

  /// The whole dataset as a CPU tensor of its own element type. Throws InputError naming file and
  /// dataset when it is missing, of an unsupported type, or cannot be read.
  at::Tensor read(const std::string& name) const;
  /// Elements [offset, offset+count) of the first axis, independently of other ranks.
  at::Tensor read_rows(const std::string& name, int64_t offset, int64_t count) const;

  /// Creates a contiguous dataset and writes the whole tensor (CPU, contiguous), from this rank.
  void write(const std::string& name, const at::Tensor& value);
  /// Creates a contiguous dataset without fill; early allocation. Collective on parallel files.
  void create_dataset(const std::string& name, at::ScalarType type,
                      const std::vector<int64_t>& shape);
  /// Writes elements [offset, offset+n) of the first axis. With `collective`, all ranks of a parallel
  /// file must call it (a rank may write zero rows).
  void write_rows(const std::string& name, int64_t offset, const at::Tensor& rows, bool collective);

  bool has_attribute(const std::string& object, const std::string& name) const;
  std::string string_attribute(const std::string& object, const std::string& name) const;
  int64_t int_attribute(const std::string& object, const std::string& name) const;
  double double_attribute(const std::string& object, const std::string& name) const;
  void set_attribute(const std::string& object, const std::string& name, const std::string& value);
  void set_attribute(const std::string& object, const std::string& name, const char* value);
  void set_attribute(const std::string& object, const std::string& name, int64_t value);
  void set_attribute(const std::string& object, const std::string& name, double value);

  /// Byte offset of a contiguous dataset in the file, for positional reads that bypass HDF5.
  int64_t raw_offset(const std::string& name) const;

  /// Flushes to the storage (one fsync on every rank of a parallel file). Collective there.
  void flush();
  /// Closes and reports failures. Collective on parallel files.
  void close();

 private:
  H5File(std::string path, H5Handle file, bool parallel)
      : path_(std::move(path)), file_(std::move(file)), parallel_(parallel) {}
  H5Handle open_dataset(const std::string& name) const;

  std::string path_;
  H5Handle file_;
  bool parallel_ = false;
};

/// The HDF5 type of a tensor element type, in native or little-endian file order.
hid_t h5_native_type(at::ScalarType type);
hid_t h5_file_type(at::ScalarType type);

}  // namespace galette::io

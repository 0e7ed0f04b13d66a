// SPDX-License-Identifier: Apache-2.0
// HDF5 for tensors: RAII handles and the few operations that Galette's files need.
// Names are paths inside the file ("group/name"), "/" is the root; missing groups are made on the
// way. Element types written: uint8, uint32, uint64, int32, int64, float16, float32, float64. Read:
// the same and what other programs write: bool (an enumeration) as uint8, smaller integers as
// int32, unsigned ones of 32 and 64 bits as int64. The library is not thread-safe: one thread of a
// rank at a time.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <hdf5.h>
#include <mpi.h>

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

/// A named tensor inside a one-dimensional array; `offset` counts elements. The name is a path in a
/// file.
struct NamedSlice {
  std::string name;
  std::vector<int64_t> shape;
  int64_t offset = 0;
  bool operator==(const NamedSlice&) const = default;
};

/// A dataset held open to write its rows in several pieces.
class H5Rows {
 public:
  /// Writes elements [offset, offset+n) of the first axis. A failure is seen by the rank that it
  /// befell.
  void write(int64_t offset, const at::Tensor& rows);
  /// Byte offset of the dataset in the file; it must be contiguous and not empty.
  int64_t raw_offset() const;
  /// Closes and reports failures.
  void close() { dataset_.close_checked(); }

 private:
  friend class H5File;
  H5Rows(H5Handle dataset, H5Handle space)
      : dataset_(std::move(dataset)), space_(std::move(space)) {}
  H5Handle dataset_, space_;
};

/// Metadata carries checksums in the files created here, and datasets of 1 MiB or more start at a
/// multiple of 1 MiB. Failures that stem from the file's content throw InputError naming file and
/// object, DamagedFile when HDF5 itself cannot make sense of it; others std::runtime_error.
class H5File {
 public:
  /// Opens for reading on this rank alone, without a lock. Throws InputError when the file is
  /// missing, unreadable, truncated or not HDF5.
  static H5File open(const std::string& path);
  /// Opens an existing file for changes on this rank alone.
  static H5File open_for_writing(const std::string& path);
  /// Creates (truncates) on this rank alone. Throws InputError when the place is not writable.
  static H5File create(const std::string& path);
  /// Opens an existing file for writing rows on all ranks of a communicator, by MPI-IO. Collective,
  /// as are flush and close then. What is in the file should be created by one rank before:
  /// creating together is slow, and after a failed close of a changed file HDF5 crashes at exit.
  static H5File open_parallel(const std::string& path, MPI_Comm comm);

  const std::string& path() const { return path_; }
  hid_t id() const { return file_; }

  bool exists(const std::string& name) const;
  /// Names of the links of a group, in alphabetical order.
  std::vector<std::string> list(const std::string& group) const;
  bool is_group(const std::string& name) const;
  std::vector<int64_t> shape(const std::string& name) const;
  /// The element type that read() returns.
  at::ScalarType type(const std::string& name) const;

  /// The whole dataset as a CPU tensor of its own element type. Throws InputError naming file and
  /// dataset when it is missing, of an unsupported type, or cannot be read.
  at::Tensor read(const std::string& name) const;
  /// Elements [offset, offset+count) of the first axis, independently of other ranks.
  at::Tensor read_rows(const std::string& name, int64_t offset, int64_t count) const;
  /// As read_rows, into `rows` (CPU, contiguous), whose first axis gives the count.
  void read_rows_into(const std::string& name, int64_t offset, at::Tensor rows) const;

  void create_group(const std::string& name);

  /// Creates a contiguous dataset and writes the whole tensor (CPU, contiguous), from this rank
  /// alone.
  void write(const std::string& name, const at::Tensor& value);
  /// Creates a contiguous dataset without fill; its place in the file is allocated at once.
  void create_dataset(const std::string& name, at::ScalarType type,
                      const std::vector<int64_t>& shape);
  /// Opens a dataset for writing. On a parallel file all ranks open and close it together; between,
  /// each writes rows of its own, as often as it likes.
  H5Rows rows(const std::string& name);
  /// Writes elements [offset, offset+n) of the first axis at once; on a parallel file all ranks
  /// call it, each with its own rows or with none.
  void write_rows(const std::string& name, int64_t offset, const at::Tensor& rows);
  /// Creates a virtual dataset for each slice of the one-dimensional dataset `source` of the same
  /// file. A view of no elements is an empty dataset.
  void create_views(const std::string& source, const std::vector<NamedSlice>& slices);

  /// A text as a scalar string of fixed length, which h5dump prints and which may be of any size.
  void write_text(const std::string& name, const std::string& text);
  std::string read_text(const std::string& name) const;

  bool has_attribute(const std::string& object, const std::string& name) const;
  std::string string_attribute(const std::string& object, const std::string& name) const;
  int64_t int_attribute(const std::string& object, const std::string& name) const;
  double double_attribute(const std::string& object, const std::string& name) const;
  /// Sets an attribute of the root, a group or a dataset; an older value is replaced.
  void set_attribute(const std::string& object, const std::string& name, const std::string& value);
  void set_attribute(const std::string& object, const std::string& name, const char* value) {
    set_attribute(object, name, std::string(value));
  }
  void set_attribute(const std::string& object, const std::string& name, double value);
  void set_attribute(const std::string& object, const std::string& name, std::integral auto value) {
    set_int_attribute(object, name, static_cast<int64_t>(value));
  }

  /// Byte offset of a contiguous dataset in the file, for positional reads that bypass HDF5.
  int64_t raw_offset(const std::string& name) const;

  /// Flushes: a parallel file to the storage, with an fsync on every rank; a file of one rank to
  /// the system only, see sync_path.
  void flush();
  /// Closes and reports failures.
  void close();

 private:
  H5File(std::string path, H5Handle file) : path_(std::move(path)), file_(std::move(file)) {}
  H5Handle open_dataset(const std::string& name) const;
  H5Handle open_object(const std::string& name) const;
  H5Handle open_attribute(const std::string& object, const std::string& name) const;
  void set_int_attribute(const std::string& object, const std::string& name, int64_t value);
  void write_scalar_attribute(const std::string& object, const std::string& name, hid_t file_type,
                              hid_t memory_type, const void* value);

  std::string path_;
  H5Handle file_;
};

/// The HDF5 type of a tensor element type, in native or little-endian file order.
hid_t h5_native_type(at::ScalarType type);
hid_t h5_file_type(at::ScalarType type);

}  // namespace galette::io

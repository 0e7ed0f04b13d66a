// SPDX-License-Identifier: Apache-2.0
#include "io/hdf5.h"

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <c10/util/Exception.h>
#include <c10/util/accumulate.h>
#include <fmt/format.h>
#include <unistd.h>

#include "io/check.h"

namespace galette::io {
namespace {

constexpr hsize_t kAlignment = hsize_t{1} << 20;  // a common stripe of parallel file systems

/// HDF5 prints its error stack by itself unless told once not to; ours go into exceptions.
void silence_hdf5() {
  static const herr_t status = H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  H5_CHECK(status);
}

H5Handle property_list(hid_t kind) {
  return {H5_CHECK(H5Pcreate(kind)), H5Pclose};
}

H5Handle file_access() {
  silence_hdf5();
  return property_list(H5P_FILE_ACCESS);
}

/// Checksummed metadata needs the file format of HDF5 1.8 or later.
H5Handle creation_access() {
  H5Handle access = file_access();
  H5_CHECK(H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_LATEST));
  H5_CHECK(H5Pset_alignment(access, kAlignment, kAlignment));
  return access;
}

H5Handle open_file(const std::string& path, unsigned flags, hid_t access) {
  const int permission = flags == H5F_ACC_RDONLY ? R_OK : R_OK | W_OK;
  if (::access(path.c_str(), permission) != 0)
    throw InputError(fmt::format("{}: cannot be opened: {}", path, std::strerror(errno)));
  if (std::filesystem::is_directory(path))
    throw InputError(fmt::format("{}: is a folder; give an HDF5 file", path));
  const hid_t id = H5Fopen(path.c_str(), flags, access);
  if (id < 0)
    throw DamagedFile(
        fmt::format("{}: truncated, damaged or not an HDF5 file ({})", path, hdf5_error_text()));
  return {id, H5Fclose};
}

H5Handle create_file(const std::string& path, hid_t access) {
  const hid_t id = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access);
  if (id < 0) throw InputError(fmt::format("{}: cannot be created ({})", path, hdf5_error_text()));
  return {id, H5Fclose};
}

std::vector<hsize_t> to_hdf5(at::IntArrayRef sizes) {
  return {sizes.begin(), sizes.end()};
}

H5Handle simple_space(at::IntArrayRef shape) {
  const auto sizes = to_hdf5(shape);
  return {H5_CHECK(H5Screate_simple(static_cast<int>(sizes.size()), sizes.data(), nullptr)),
          H5Sclose};
}

std::vector<int64_t> space_shape(hid_t space) {
  if (H5_CHECK(H5Sget_simple_extent_type(space)) == H5S_NULL) return {0};
  std::vector<hsize_t> sizes(static_cast<size_t>(H5_CHECK(H5Sget_simple_extent_ndims(space))));
  H5_CHECK(H5Sget_simple_extent_dims(space, sizes.data(), nullptr));
  return {sizes.begin(), sizes.end()};
}

/// Selects `rows` (a count and the row's shape) from `offset` on in the file's space; returns the
/// matching space in memory.
H5Handle select_rows(hid_t file_space, int64_t offset, at::IntArrayRef rows) {
  if (rows[0] == 0) {
    H5Handle memory = simple_space(rows);
    H5_CHECK(H5Sselect_none(memory));
    H5_CHECK(H5Sselect_none(file_space));
    return memory;
  }
  std::vector<hsize_t> start(rows.size(), 0);
  start[0] = static_cast<hsize_t>(offset);
  const auto count = to_hdf5(rows);
  H5_CHECK(H5Sselect_hyperslab(file_space, H5S_SELECT_SET, start.data(), nullptr, count.data(),
                               nullptr));
  return simple_space(rows);
}

/// The tensor element type that holds a file's type; at::ScalarType::Undefined when there is none.
at::ScalarType tensor_type(hid_t type) {
  const size_t size = H5Tget_size(type);
  switch (H5Tget_class(type)) {
    case H5T_ENUM:
      return size == 1 ? at::kByte : at::ScalarType::Undefined;
    case H5T_INTEGER:
      if (H5Tget_sign(type) == H5T_SGN_NONE)
        return size == 1 ? at::kByte : size == 2 ? at::kInt : at::kLong;
      return size <= 4 ? at::kInt : at::kLong;
    case H5T_FLOAT:
      return size == 2   ? at::kHalf
             : size == 4 ? at::kFloat
             : size == 8 ? at::kDouble
                         : at::ScalarType::Undefined;
    default:
      return at::ScalarType::Undefined;
  }
}

/// The memory type for reading: HDF5 converts numbers, but an enumeration only to itself.
H5Handle read_type(hid_t file_type, at::ScalarType type) {
  if (H5Tget_class(file_type) == H5T_ENUM) return {H5_CHECK(H5Tcopy(file_type)), H5Tclose};
  return {H5_CHECK(H5Tcopy(h5_native_type(type))), H5Tclose};
}

void check_host_memory(const at::Tensor& value) {
  TORCH_CHECK(value.device().is_cpu() && value.is_contiguous(),
              "only contiguous tensors on the CPU are written to or read from HDF5 files");
}

void check_rows(const at::Tensor& rows) {
  check_host_memory(rows);
  TORCH_CHECK(rows.dim() > 0, "rows need a first axis");
}

H5Handle link_creation() {
  H5Handle links = property_list(H5P_LINK_CREATE);
  H5_CHECK(H5Pset_create_intermediate_group(links, 1));
  return links;
}

}  // namespace

H5Handle& H5Handle::operator=(H5Handle&& other) noexcept {
  if (this != &other) {
    reset();
    id_ = std::exchange(other.id_, -1);
    close_ = std::exchange(other.close_, nullptr);
  }
  return *this;
}

void H5Handle::close_checked() {
  if (id_ < 0) return;
  const hid_t id = std::exchange(id_, -1);
  H5_CHECK(close_(id));
}

void H5Handle::reset() noexcept {
  if (id_ >= 0) close_(id_);
  id_ = -1;
}

H5File H5File::open(const std::string& path) {
  const H5Handle access = file_access();
  H5_CHECK(H5Pset_file_locking(access, false, true));
  return {path, open_file(path, H5F_ACC_RDONLY, access)};
}

H5File H5File::open_for_writing(const std::string& path) {
  return {path, open_file(path, H5F_ACC_RDWR, creation_access())};
}

H5File H5File::create(const std::string& path) {
  return {path, create_file(path, creation_access())};
}

H5File H5File::open_parallel(const std::string& path, MPI_Comm comm) {
  const H5Handle access = creation_access();
  H5_CHECK(H5Pset_fapl_mpio(access, comm, MPI_INFO_NULL));
  H5_CHECK(H5Pset_all_coll_metadata_ops(access, true));
  H5_CHECK(H5Pset_coll_metadata_write(access, true));
  return {path, open_file(path, H5F_ACC_RDWR, access)};
}

bool H5File::exists(const std::string& name) const {
  const auto has_link = [&](const std::string& link) {
    const htri_t found = H5Lexists(file_, link.c_str(), H5P_DEFAULT);
    if (found < 0)
      throw DamagedFile(
          fmt::format("{}: '{}' cannot be looked up ({})", path_, link, hdf5_error_text()));
    return found > 0;
  };
  // HDF5 fails on a missing group on the way, so every prefix is asked in turn.
  for (size_t end = name.find('/', 1); end != std::string::npos; end = name.find('/', end + 1))
    if (!has_link(name.substr(0, end))) return false;
  return name == "/" || has_link(name);
}

H5Handle H5File::open_object(const std::string& name) const {
  if (!exists(name)) throw InputError(fmt::format("{}: lacks '{}'", path_, name));
  const hid_t id = H5Oopen(file_, name.c_str(), H5P_DEFAULT);
  if (id < 0)
    throw DamagedFile(
        fmt::format("{}: '{}' cannot be opened ({})", path_, name, hdf5_error_text()));
  return {id, H5Oclose};
}

H5Handle H5File::open_dataset(const std::string& name) const {
  H5Handle object = open_object(name);
  if (H5Iget_type(object) != H5I_DATASET)
    throw InputError(fmt::format("{}: '{}' is not a dataset", path_, name));
  return object;
}

bool H5File::is_group(const std::string& name) const {
  return exists(name) && H5Iget_type(open_object(name)) == H5I_GROUP;
}

std::vector<std::string> H5File::list(const std::string& group) const {
  if (!is_group(group)) throw InputError(fmt::format("{}: lacks the group '{}'", path_, group));
  const H5Handle object = open_object(group);
  std::vector<std::string> names;
  const auto keep = [](hid_t, const char* name, const H5L_info_t*, void* all) -> herr_t {
    static_cast<std::vector<std::string>*>(all)->emplace_back(name);
    return 0;
  };
  H5_CHECK(H5Literate(object, H5_INDEX_NAME, H5_ITER_INC, nullptr, keep, &names));
  return names;
}

std::vector<int64_t> H5File::shape(const std::string& name) const {
  const H5Handle dataset = open_dataset(name);
  return space_shape(H5Handle(H5_CHECK(H5Dget_space(dataset)), H5Sclose));
}

at::ScalarType H5File::type(const std::string& name) const {
  const H5Handle dataset = open_dataset(name);
  const H5Handle file_type(H5_CHECK(H5Dget_type(dataset)), H5Tclose);
  const at::ScalarType type = tensor_type(file_type);
  if (type == at::ScalarType::Undefined)
    throw InputError(
        fmt::format("{}: dataset '{}' holds elements that are not numbers", path_, name));
  return type;
}

at::Tensor H5File::read(const std::string& name) const {
  at::Tensor value = at::empty(shape(name), type(name));
  if (value.numel() == 0) return value;
  const H5Handle dataset = open_dataset(name);
  const H5Handle file_type(H5_CHECK(H5Dget_type(dataset)), H5Tclose);
  const H5Handle memory_type = read_type(file_type, value.scalar_type());
  if (H5Dread(dataset, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, value.data_ptr()) < 0)
    throw DamagedFile(
        fmt::format("{}: dataset '{}' cannot be read ({})", path_, name, hdf5_error_text()));
  return value;
}

at::Tensor H5File::read_rows(const std::string& name, int64_t offset, int64_t count) const {
  auto sizes = shape(name);
  TORCH_CHECK(!sizes.empty(), path_, ": dataset '", name, "' has no rows");
  sizes[0] = count;
  at::Tensor rows = at::empty(sizes, type(name));
  read_rows_into(name, offset, rows);
  return rows;
}

void H5File::read_rows_into(const std::string& name, int64_t offset, at::Tensor rows) const {
  check_rows(rows);
  const H5Handle dataset = open_dataset(name);
  const H5Handle file_space(H5_CHECK(H5Dget_space(dataset)), H5Sclose);
  const H5Handle memory_space = select_rows(file_space, offset, rows.sizes());
  const H5Handle file_type(H5_CHECK(H5Dget_type(dataset)), H5Tclose);
  const H5Handle memory_type = read_type(file_type, rows.scalar_type());
  if (H5Dread(dataset, memory_type, memory_space, file_space, H5P_DEFAULT, rows.data_ptr()) < 0)
    throw DamagedFile(fmt::format("{}: rows {} to {} of dataset '{}' cannot be read ({})", path_,
                                  offset, offset + rows.size(0), name, hdf5_error_text()));
}

void H5File::create_group(const std::string& name) {
  const H5Handle links = link_creation();
  H5Handle group(H5_CHECK(H5Gcreate2(file_, name.c_str(), links, H5P_DEFAULT, H5P_DEFAULT)),
                 H5Gclose);
  group.close_checked();
}

void H5File::create_dataset(const std::string& name, at::ScalarType type,
                            const std::vector<int64_t>& shape) {
  const H5Handle creation = property_list(H5P_DATASET_CREATE);
  H5_CHECK(H5Pset_layout(creation, H5D_CONTIGUOUS));
  H5_CHECK(H5Pset_alloc_time(creation, H5D_ALLOC_TIME_EARLY));
  H5_CHECK(H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER));
  const H5Handle links = link_creation();
  const H5Handle space = simple_space(shape);
  H5Handle dataset(H5_CHECK(H5Dcreate2(file_, name.c_str(), h5_file_type(type), space, links,
                                       creation, H5P_DEFAULT)),
                   H5Dclose);
  dataset.close_checked();
}

void H5File::write(const std::string& name, const at::Tensor& value) {
  check_host_memory(value);
  create_dataset(name, value.scalar_type(), value.sizes().vec());
  if (value.numel() == 0) return;
  H5Handle dataset = open_dataset(name);
  H5_CHECK(H5Dwrite(dataset, h5_native_type(value.scalar_type()), H5S_ALL, H5S_ALL, H5P_DEFAULT,
                    value.const_data_ptr()));
  dataset.close_checked();
}

H5Rows H5File::rows(const std::string& name) {
  H5Handle dataset = open_dataset(name);
  H5Handle space(H5_CHECK(H5Dget_space(dataset)), H5Sclose);
  return {std::move(dataset), std::move(space)};
}

void H5Rows::write(int64_t offset, const at::Tensor& rows) {
  check_rows(rows);
  if (H5_CHECK(H5Sget_simple_extent_npoints(space_)) == 0) return;  // it has no storage
  const H5Handle memory_space = select_rows(space_, offset, rows.sizes());
  // Not a collective transfer: the ranks' rows are large and contiguous, so there is nothing to
  // gather, and an error inside a collective transfer is not seen on all ranks.
  H5_CHECK(H5Dwrite(dataset_, h5_native_type(rows.scalar_type()), memory_space, space_, H5P_DEFAULT,
                    rows.const_data_ptr()));
}

int64_t H5Rows::raw_offset() const {
  const haddr_t offset = H5Dget_offset(dataset_);
  TORCH_CHECK(offset != HADDR_UNDEF, "the dataset is not stored contiguously");
  return static_cast<int64_t>(offset);
}

void H5File::write_rows(const std::string& name, int64_t offset, const at::Tensor& rows) {
  H5Rows piece = this->rows(name);
  piece.write(offset, rows);
  piece.close();
}

void H5File::create_views(const std::string& source, const std::vector<NamedSlice>& slices) {
  // What all of them share is opened once: 1,500 views are a fifth of a second's work.
  const H5Handle source_dataset = open_dataset(source);
  const H5Handle type(H5_CHECK(H5Dget_type(source_dataset)), H5Tclose);
  const H5Handle source_space(H5_CHECK(H5Dget_space(source_dataset)), H5Sclose);
  const H5Handle links = link_creation();
  for (const NamedSlice& slice : slices) {
    const int64_t size = c10::multiply_integers(slice.shape);
    if (size == 0) {
      create_dataset(slice.name, tensor_type(type), slice.shape);
      continue;
    }
    const H5Handle selected = select_rows(source_space, slice.offset, {size});
    const H5Handle space = simple_space(slice.shape);
    const H5Handle creation = property_list(H5P_DATASET_CREATE);
    H5_CHECK(H5Pset_virtual(creation, space, ".", source.c_str(), source_space));
    H5Handle view(
        H5_CHECK(H5Dcreate2(file_, slice.name.c_str(), type, space, links, creation, H5P_DEFAULT)),
        H5Dclose);
    view.close_checked();
  }
}

int64_t H5File::raw_offset(const std::string& name) const {
  const haddr_t offset = H5Dget_offset(open_dataset(name));
  if (offset == HADDR_UNDEF)
    throw InputError(fmt::format("{}: dataset '{}' is not stored contiguously", path_, name));
  return static_cast<int64_t>(offset);
}

void H5File::flush() {
  H5_CHECK(H5Fflush(file_, H5F_SCOPE_GLOBAL));
}

void H5File::close() {
  file_.close_checked();
}

}  // namespace galette::io

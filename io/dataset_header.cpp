// SPDX-License-Identifier: Apache-2.0
#include "io/dataset_header.h"

#include <bit>
#include <filesystem>

#include <fmt/format.h>

#include "io/check.h"
#include "io/checksum.h"
#include "io/hdf5.h"

namespace galette::io {
namespace {

[[noreturn]] void fail(const std::string& path, const std::string& what) {
  throw InputError(fmt::format("{}: {}", path, what));
}

void check_is_file(const std::string& path) {
  const bool archive = std::filesystem::path(path).extension() == ".zip";
  if (!archive && !std::filesystem::is_directory(path)) return;
  fail(path, fmt::format("not an HDF5 dataset; pack it with 'galette dataset --source={} "
                         "--dest=FILE.h5' and give that file",
                         path));
}

void check_format(const H5File& file) {
  if (!file.has_attribute("/", "format") ||
      file.string_attribute("/", "format") != kDatasetFormat) {
    fail(file.path(), "an HDF5 file but not a Galette dataset; make one with 'galette dataset'");
  }
  const int64_t version = file.int_attribute("/", "format_version");
  if (version > kDatasetVersion) {
    fail(file.path(),
         fmt::format("dataset format version {} is newer than {}, the newest that this "
                     "program knows; use a newer Galette",
                     version, kDatasetVersion));
  }
  if (file.string_attribute("/", "layout") != "contiguous") {
    fail(file.path(), "the layout is not contiguous; pack the images again with 'galette dataset'");
  }
}

void check_attribute(const H5File& file, const char* name, int64_t found) {
  const int64_t stated = file.int_attribute("/", name);
  if (stated != found) {
    fail(file.path(), fmt::format("damaged: the attribute '{}' is {}, but the data say {}", name,
                                  stated, found));
  }
}

void read_shape(const H5File& file, DatasetInfo& info) {
  const std::vector<int64_t> shape = file.shape("images");
  if (shape.size() != 4 || file.type("images") != at::kByte) {
    fail(file.path(), "'images' is not a uint8 dataset of shape [N, C, S, S]");
  }
  if (shape[0] == 0) fail(file.path(), "the dataset holds no images");
  if (shape[1] != 1 && shape[1] != 3) {
    fail(file.path(), fmt::format("images have {} channels; 1 or 3 are possible", shape[1]));
  }
  if (shape[2] != shape[3]) {
    fail(file.path(), fmt::format("images are not square: {}x{}", shape[3], shape[2]));
  }
  if (!is_power_of_two(shape[2])) {
    fail(file.path(),
         fmt::format("images are {}x{}; the side must be a power of two", shape[3], shape[2]));
  }
  info.num_images = shape[0], info.channels = shape[1], info.resolution = shape[2];
  check_attribute(file, "num_images", info.num_images);
  check_attribute(file, "channels", info.channels);
  check_attribute(file, "resolution", info.resolution);
}

/// One row per image, of this element type and number of axes.
at::Tensor read_column(const H5File& file, const std::string& name, at::ScalarType type,
                       size_t axes, int64_t rows) {
  const std::vector<int64_t> shape = file.shape(name);
  if (shape.size() != axes || shape[0] != rows || file.type(name) != type) {
    fail(file.path(), fmt::format("damaged: '{}' does not fit to {} images", name, rows));
  }
  return file.read(name);
}

void read_labels(const H5File& file, DatasetHeader& header) {
  DatasetInfo& info = header.info;
  const std::string kind = file.string_attribute("/", "label_kind");
  if (kind == "none") return;
  if (kind == "class") {
    info.label_kind = LabelKind::classes;
    header.labels = read_column(file, "labels/class", at::kLong, 1, info.num_images);
    if (header.labels.min().item<int64_t>() < 0) fail(file.path(), "a class label is negative");
    info.label_dim = header.labels.max().item<int64_t>() + 1;
    check_attribute(file, "num_classes", info.label_dim);
  } else if (kind == "vector") {
    info.label_kind = LabelKind::vectors;
    header.labels = read_column(file, "labels/vector", at::kFloat, 2, info.num_images);
    info.label_dim = header.labels.size(1);
    check_attribute(file, "label_dim", info.label_dim);
  } else {
    fail(file.path(), fmt::format("damaged: the label kind '{}' is unknown", kind));
  }
}

void read_place(const H5File& file, DatasetHeader& header) {
  header.offset = file.raw_offset("images");
  const int64_t end = header.offset + header.info.num_images * header.info.image_bytes();
  if (end > static_cast<int64_t>(std::filesystem::file_size(file.path()))) {
    throw DamagedFile(fmt::format("{}: truncated: the images reach beyond its end", file.path()));
  }
}

/// The digest of a text that names version and shapes, then of the checksums and labels as
/// little-endian numbers.
std::string fingerprint(const DatasetHeader& header) {
  const DatasetInfo& info = header.info;
  Sha256 hash;
  const std::string head =
      fmt::format("{} {} [{},{},{},{}] {} {}\n", kDatasetFormat, kDatasetVersion, info.num_images,
                  info.channels, info.resolution, info.resolution,
                  static_cast<int>(info.label_kind), info.label_dim);
  hash.update(head.data(), head.size());
  const at::Tensor checksums = header.checksums.to(at::kInt);  // the low 32 bits
  hash.update(checksums.const_data_ptr(), checksums.nbytes());
  if (header.labels.defined()) hash.update(header.labels.const_data_ptr(), header.labels.nbytes());
  return hash.hex_digest();
}

}  // namespace

bool is_power_of_two(int64_t value) {
  return value > 0 && std::has_single_bit(uint64_t(value));
}

DatasetHeader read_dataset_header(const std::string& path) {
  check_is_file(path);
  const H5File file = H5File::open(path);
  check_format(file);
  DatasetHeader header;
  header.info.path = path;
  header.info.name = file.string_attribute("/", "name");
  read_shape(file, header.info);
  header.checksums = read_column(file, "checksums", at::kLong, 1, header.info.num_images);
  read_labels(file, header);
  read_place(file, header);
  header.info.fingerprint = fingerprint(header);
  return header;
}

}  // namespace galette::io

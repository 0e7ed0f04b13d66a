// SPDX-License-Identifier: Apache-2.0
// A dataset: one HDF5 file of square images with a power of two as side, and what reads it.
//
//   /images            uint8 [N, C, S, S]   contiguous, from a multiple of 1 MiB on when that large
//   /checksums         uint32 [N]           CRC-32C of each image's bytes
//   /labels/class      int64 [N]            or
//   /labels/vector     float32 [N, L]       or neither
//   /names/bytes       uint8 [total]        the images' names in their source, end to end;
//   /names/offsets     uint64 [N + 1]       name i is bytes [offsets[i], offsets[i+1])
//   /stats/mean, std   float64 [C]          of the values 0..255; pooled over channels as
//                                           attributes of /stats
// Attributes of the root: format, format_version, layout, name, num_images, resolution, channels,
// label_kind, num_classes or label_dim, and where the images came from.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "io/dataset_items.h"
#include "io/positional_file.h"

namespace galette::io {

inline constexpr const char* kDatasetFormat = "galette-dataset";
inline constexpr int64_t kDatasetVersion = 1;

enum class LabelKind { none, classes, vectors };

/// What a dataset file is, whatever part of it is used.
struct DatasetInfo {
  std::string path;
  std::string name;
  int64_t num_images = 0;
  int64_t resolution = 0;
  int64_t channels = 0;
  LabelKind label_kind = LabelKind::none;
  int64_t label_dim = 0;    ///< number of classes, length of the vectors, or 0
  std::string fingerprint;  ///< SHA-256 of version, shape, checksums and labels, as hex digits

  int64_t image_bytes() const { return channels * resolution * resolution; }
};

struct DatasetHeader;

/// Which items a dataset shows, and how.
struct DatasetView {
  bool labels = true;   ///< false: labels are empty
  bool mirror = false;  ///< items are followed by their mirror images
  std::optional<int64_t> max_size =
      std::nullopt;         ///< a random subset of that many images, in their order
  uint32_t seed = 0;        ///< of the subset
  int64_t cache_bytes = 0;  ///< a set up to this size is read into the page cache early
};

/// Items 0 ... size()-1 of a dataset. Reading needs no collective call, no HDF5 and no lock: any
/// number of threads and ranks may read at the same time. The page cache keeps what fits, once for
/// all ranks of a host.
class Dataset {
 public:
  /// Throws InputError with one line when the file is missing, is no dataset of this program, has
  /// a newer version, is damaged, or contradicts itself.
  static Dataset open(const std::string& path, const DatasetView& view = {});

  const DatasetInfo& info() const { return info_; }
  /// Number of items, mirror images included.
  int64_t size() const { return items_.size(); }
  /// Width of label(): 0 when there are none or the view hides them.
  int64_t label_dim() const { return show_labels_ ? info_.label_dim : 0; }

  /// Which image of the file each item shows.
  const DatasetItems& items() const { return items_; }

  /// Fills [C, S, S] bytes. Throws DamagedFile when the file has been cut since it was opened.
  void read(int64_t item, uint8_t* chw) const;
  /// float32 [label_dim()]: one-hot for classes.
  at::Tensor label(int64_t item) const;
  /// Images uint8 [n, C, S, S] of some items, and labels float32 [n, label_dim()].
  at::Tensor images(const std::vector<int64_t>& items) const;
  at::Tensor labels(const std::vector<int64_t>& items) const;

  /// Compares every image of the file with its checksum; throws DamagedFile naming the first that
  /// differs.
  void verify() const;

 private:
  Dataset(DatasetHeader header, const DatasetView& view);
  void read_image(int64_t index, uint8_t* chw) const;

  DatasetInfo info_;
  PositionalFile file_;
  int64_t offset_ = 0;    ///< of /images in the file
  at::Tensor checksums_;  ///< int64 [N]
  at::Tensor labels_;     ///< int64 [N], float32 [N, L], or undefined
  DatasetItems items_;
  bool show_labels_ = true;
};

}  // namespace galette::io

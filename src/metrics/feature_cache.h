// SPDX-License-Identifier: Apache-2.0
// What a detector network made of real images, kept in a folder for later computations: an HDF5
// file for each dataset, detector and choice of images, named by the digests of both. Its
// attributes say what it is:
//
//   format, format_version   galette-features, 1
//   dataset_fingerprint      SHA-256 of the images' content, whatever the file's place or name
//   detector, detector_sha256, mode, num_items, mirrored, checksum (CRC-32C of the data)
//   /sum [d], /products [d, d]   float64, in mode "moments"
//   /features [n, d]             float32, in mode "features"
//
// Rank 0 alone reads and writes, so the folder need not be seen by the others. A file gets its name
// when it is complete. A damaged one is made anew, with a warning; what cannot be written costs a
// warning only.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "metrics/feature_math.h"
#include "metrics/shared_features.h"
#include "parallel/communicator.h"

namespace galette {

/// What features are of.
struct FeatureKey {
  std::string dataset_fingerprint;
  std::string detector, detector_sha256;
  int64_t count = 0;      ///< the first so many items of the dataset
  bool mirrored = false;  ///< whether mirror images are among them
};

class FeatureCache {
 public:
  /// An empty `folder` keeps nothing. `comm` must outlive this.
  FeatureCache(std::string folder, FeatureKey key, Communicator& comm)
      : folder_(std::move(folder)), key_(std::move(key)), comm_(comm) {}

  // Nothing when there is no usable file. Throw InputError, the same on all ranks, for a file of
  // that name which holds something else. Collective.
  std::optional<FeatureMoments> load_moments(int64_t width) const;
  std::optional<SharedFeatures> load_features(int64_t width) const;
  // Collective.
  void save(const FeatureMoments& moments) const;
  void save(const SharedFeatures& features) const;

 private:
  enum class Mode { moments, features };
  std::string path(Mode mode) const;
  bool is_there(Mode mode, int64_t width) const;
  void check(Mode mode, int64_t width) const;
  void from_root(const std::function<at::Tensor()>& read, at::Tensor values) const;

  std::string folder_;
  FeatureKey key_;
  Communicator& comm_;
};

/// The folder that --cache names, made when it is not there, or "" for "off". `wish` "" stands for
/// galette in $XDG_CACHE_HOME or ~/.cache, or none when that cannot be written. Throws InputError
/// when the named folder cannot be made. For rank 0.
std::string feature_cache_folder(const std::string& wish);

}  // namespace galette

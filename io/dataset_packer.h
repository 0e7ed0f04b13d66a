// SPDX-License-Identifier: Apache-2.0
// Packs a source of images into a dataset file, shared among the ranks of a communicator. Blocks of
// consecutive images are dealt to the ranks in turn; each rank decodes, transforms and writes its
// blocks at their place in the file. The file gets its name when every rank has succeeded.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include <mpi.h>

#include "io/image.h"
#include "io/resize.h"

namespace galette::io {

struct PackOptions {
  std::string source;
  std::string dest;
  std::string name;  ///< of the dataset; empty: that of `dest` without folder and extension
  std::optional<Resolution> resolution;
  Transform transform = Transform::none;
  std::optional<int64_t> max_images;  ///< only the first so many images of the source are read
  std::optional<Color> background;    ///< behind transparent images
  bool overwrite = false;
  std::string tool_version;  ///< the last two are only recorded in the file
  std::string options;
};

struct PackReport {
  int64_t images_read = 0;
  int64_t images_dropped = 0;  ///< by the transform
  int64_t images_packed = 0;
  int64_t images_unlabelled = 0;  ///< when some have a label and some not, no labels are written
  bool has_labels = false;
  ImageShape shape;
};

/// Called on every rank with the numbers of images done and to do.
using PackProgress = std::function<void(int64_t done, int64_t total)>;

/// Collective; every rank gives the same options. When any rank fails, all throw its message, and
/// no file is left under the final name (an older one stays). InputError for bad options, sources
/// and images; std::runtime_error otherwise.
PackReport pack_dataset(const PackOptions& options, MPI_Comm comm, const PackProgress& progress);

}  // namespace galette::io

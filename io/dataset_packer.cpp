// SPDX-License-Identifier: Apache-2.0
#include "io/dataset_packer.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <filesystem>
#include <numeric>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "io/check.h"
#include "io/checksum.h"
#include "io/dataset_header.h"
#include "io/dataset_writer.h"
#include "io/durable.h"
#include "io/image_source.h"
#include "io/positional_file.h"
#include "io/together.h"

namespace galette::io {
namespace {

constexpr int64_t kBlockBytes = 4 << 20;

std::string describe(const ImageShape& shape) {
  return fmt::format("{}x{} with {} channel{}", shape.width, shape.height, shape.channels,
                     shape.channels == 1 ? "" : "s");
}

void check_resolution(const PackOptions& options) {
  if (!options.resolution) {
    if (options.transform == Transform::none) return;
    throw InputError(
        fmt::format("--transform={}: also needs --resolution", transform_name(options.transform)));
  }
  const auto [width, height] = *options.resolution;
  const bool wide = options.transform == Transform::center_crop_wide;
  if (!is_power_of_two(width) || height < 1 || (wide ? height > width : height != width)) {
    throw InputError(fmt::format("--resolution={}x{}: {}", width, height,
                                 wide ? "the width must be a power of two, and the height no larger"
                                      : "width and height must be the same power of two"));
  }
}

void check_destination(const PackOptions& options) {
  namespace fs = std::filesystem;
  if (options.dest.empty()) throw InputError("--dest: is empty; give the file to write");
  if (fs::is_directory(options.dest)) {
    throw InputError(fmt::format("--dest={}: is a folder; give the file to write", options.dest));
  }
  if (fs::exists(options.dest) && !options.overwrite) {
    throw InputError(fmt::format(
        "--dest={}: exists already; choose another name or add --overwrite", options.dest));
  }
}

void check_first(const ImageShape& shape, const std::string& name) {
  if (shape.width != shape.height) {
    throw InputError(fmt::format(
        "{}: the image is {}, not square; use --resolution=N, with --transform=center-crop to keep "
        "its aspect",
        name, describe(shape)));
  }
  if (!is_power_of_two(shape.width)) {
    throw InputError(
        fmt::format("{}: the image is {}; the side must be a power of two: use --resolution=N",
                    name, describe(shape)));
  }
}

class Packer {
 public:
  Packer(const PackOptions& options, MPI_Comm comm)
      : options_(options), comm_(comm), rank_(comm_rank(comm)), ranks_(comm_size(comm)) {}

  PackReport run(const PackProgress& progress) {
    on_root(comm_, [&] { check_destination(options_); });
    together(comm_, [&] { open_source(); });
    check_all_see_the_same();
    select();
    find_shape();
    TemporaryFile temporary(options_.dest + ".tmp");
    if (rank_ != 0) temporary.keep();
    const int64_t offset = create(temporary.path());
    write_images(temporary.path(), offset, progress);
    collect();
    on_root(comm_, [&] {
      finish_dataset_file(temporary.path(), describe_contents());
      replace_durably(temporary.path(), options_.dest);
      temporary.keep();
    });
    return report_;
  }

 private:
  std::string full_name(int64_t image) const {
    return fmt::format("{}/{}", options_.source, source_->name(kept_[size_t(image)]));
  }
  int64_t count() const { return static_cast<int64_t>(kept_.size()); }

  void open_source();
  void check_all_see_the_same();
  void select();
  void find_shape();
  int64_t create(const std::string& path);
  void write_images(const std::string& path, int64_t offset, const PackProgress& progress);
  void pack_image(int64_t image, uint8_t* planes);
  void collect();
  void collect_labels();
  DatasetContents describe_contents();

  const PackOptions& options_;
  MPI_Comm comm_;
  int rank_, ranks_;
  std::unique_ptr<ImageSource> source_;
  std::vector<int64_t> kept_;  ///< images of the source, in their order
  std::vector<uint32_t> checksums_;
  PixelSums sums_{0};
  std::vector<ImageLabel> labels_;
  PackReport report_;
};

void Packer::open_source() {
  check_resolution(options_);
  source_ = open_image_source(options_.source, options_.background);
  report_.images_read = std::min(source_->size(), options_.max_images.value_or(source_->size()));
  if (report_.images_read < 1) throw InputError("--max-images: must be at least 1");
}

/// A source on a disk of one host would otherwise end in ranks that wait for each other.
void Packer::check_all_see_the_same() {
  int64_t expected = report_.images_read;
  MPI_CHECK(MPI_Bcast(&expected, 1, MPI_INT64_T, 0, comm_));
  together(comm_, [&] {
    if (report_.images_read == expected) return;
    throw InputError(fmt::format(
        "--source={}: rank {} finds {} images and rank 0 {}; all ranks must see the same files",
        options_.source, rank_, report_.images_read, expected));
  });
}

/// Only the wide crop drops images, and it tells from their size.
void Packer::select() {
  std::vector<uint8_t> keep(size_t(report_.images_read), 0);
  together(comm_, [&] {
    for (int64_t i = rank_; i < report_.images_read; i += ranks_) {
      if (options_.transform == Transform::center_crop_wide) {
        const auto [width, height] = source_->extent(i);
        keep[size_t(i)] = transform_keeps(options_.transform, options_.resolution, width, height);
      } else {
        keep[size_t(i)] = 1;
      }
    }
  });
  MPI_CHECK(
      MPI_Allreduce(MPI_IN_PLACE, keep.data(), int(keep.size()), MPI_UINT8_T, MPI_MAX, comm_));
  for (size_t i = 0; i < keep.size(); ++i) {
    if (keep[i] != 0) kept_.push_back(int64_t(i));
  }
  report_.images_packed = count();
  report_.images_dropped = report_.images_read - count();
  if (kept_.empty()) {
    throw InputError(
        fmt::format("--source={}: all {} images are narrower than --resolution={}x{} asks for, so "
                    "--transform=center-crop-wide drops them",
                    options_.source, report_.images_read, options_.resolution->width,
                    options_.resolution->height));
  }
}

/// The first image fixes the shape of all.
void Packer::find_shape() {
  ImageShape& shape = report_.shape;
  on_root(comm_, [&] {
    shape =
        apply_transform(options_.transform, options_.resolution, source_->load(kept_[0])).shape();
    check_first(shape, full_name(0));
  });
  std::array<int, 3> sizes{shape.width, shape.height, shape.channels};
  MPI_CHECK(MPI_Bcast(sizes.data(), 3, MPI_INT, 0, comm_));
  shape = {sizes[0], sizes[1], sizes[2]};
}

int64_t Packer::create(const std::string& path) {
  int64_t offset = 0;
  on_root(comm_, [&] { offset = create_dataset_file(path, count(), report_.shape); });
  MPI_CHECK(MPI_Bcast(&offset, 1, MPI_INT64_T, 0, comm_));
  return offset;
}

void Packer::pack_image(int64_t image, uint8_t* planes) {
  const Image result =
      apply_transform(options_.transform, options_.resolution, source_->load(kept_[size_t(image)]));
  if (result.shape() != report_.shape) {
    throw InputError(fmt::format("{}: the image is {}, but the first one, {}, is {}",
                                 full_name(image), describe(result.shape()),
                                 source_->name(kept_[0]), describe(report_.shape)));
  }
  to_planes(result, planes);
  checksums_[size_t(image)] = crc32c(planes, report_.shape.bytes());
  sums_.add(planes, report_.shape.bytes() / size_t(report_.shape.channels));
}

/// All ranks agree after each round of blocks, so that one's failure soon ends them all.
void Packer::write_images(const std::string& path, int64_t offset, const PackProgress& progress) {
  checksums_.assign(kept_.size(), 0);
  sums_ = PixelSums(report_.shape.channels);
  const auto bytes = int64_t(report_.shape.bytes());
  const int64_t fair = (count() + 4 * ranks_ - 1) / (4 * ranks_);
  const int64_t block = std::clamp(kBlockBytes / bytes, int64_t{1}, fair);
  std::optional<PositionalFile> output;
  together(comm_, [&] { output.emplace(path, PositionalFile::Access::write); });
  for (int64_t start = 0; start < count(); start += block * ranks_) {
    together(comm_, [&] {
      const int64_t begin = std::min(start + rank_ * block, count());
      const int64_t end = std::min(begin + block, count());
      std::vector<uint8_t> planes(size_t((end - begin) * bytes));
      for (int64_t i = begin; i < end; ++i) pack_image(i, planes.data() + (i - begin) * bytes);
      output->write(planes.data(), int64_t(planes.size()), offset + begin * bytes);
    });
    progress(std::min(start + block * ranks_, count()), count());
  }
  together(comm_, [&] { output->sync(); });
}

/// Brings checksums and sums to every rank; labels are known to each.
void Packer::collect() {
  collect_labels();
  MPI_CHECK(MPI_Allreduce(MPI_IN_PLACE, checksums_.data(), int(checksums_.size()), MPI_UINT32_T,
                          MPI_SUM, comm_));
  for (std::vector<uint64_t>* sums : {&sums_.sum, &sums_.square}) {
    MPI_CHECK(
        MPI_Allreduce(MPI_IN_PLACE, sums->data(), int(sums->size()), MPI_UINT64_T, MPI_SUM, comm_));
  }
}

/// Labels count only when every image has one.
void Packer::collect_labels() {
  for (const int64_t image : kept_) labels_.push_back(source_->label(image));
  report_.images_unlabelled = std::count(labels_.begin(), labels_.end(), ImageLabel{});
  report_.has_labels = report_.images_unlabelled == 0;
  if (!report_.has_labels) labels_.clear();
}

DatasetContents Packer::describe_contents() {
  DatasetContents contents;
  contents.shape = report_.shape;
  contents.checksums = checksums_;
  contents.sums = sums_;
  for (const int64_t image : kept_) contents.names.push_back(source_->name(image));
  contents.labels = labels_;
  namespace fs = std::filesystem;
  const fs::path source = fs::path(options_.source).lexically_normal();
  contents.name = options_.name.empty() ? fs::path(options_.dest).stem().string() : options_.name;
  const auto& size = options_.resolution;
  contents.origin = {
      {"source_kind", source_->kind()},
      {"source_name", (source.has_filename() ? source : source.parent_path()).filename()},
      {"transform", transform_name(options_.transform)},
      {"requested_resolution", size ? fmt::format("{}x{}", size->width, size->height) : ""},
      {"resize_filter", "lanczos3-8bit"},
      {"tool_version", options_.tool_version},
      {"created_utc", fmt::format("{:%FT%TZ}", fmt::gmtime(std::time(nullptr)))},
      {"options", options_.options}};
  contents.counts = {{"images_read", report_.images_read},
                     {"images_dropped", report_.images_dropped},
                     {"max_images", options_.max_images.value_or(0)}};
  return contents;
}

}  // namespace

PackReport pack_dataset(const PackOptions& options, MPI_Comm comm, const PackProgress& progress) {
  return Packer(options, comm).run(progress);
}

}  // namespace galette::io

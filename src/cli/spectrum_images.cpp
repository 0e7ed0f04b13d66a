// SPDX-License-Identifier: Apache-2.0
#include "cli/spectrum_images.h"

#include <fmt/format.h>

#include "cli/generator_file.h"
#include "cli/image_maker.h"
#include "cli/latents.h"
#include "io/check.h"
#include "io/dataset_file.h"
#include "io/file_kind.h"
#include "io/hdf5.h"
#include "io/legacy_random.h"

namespace galette {
namespace {

bool is_dataset(const std::string& path) {
  if (io::file_kind(path) != io::FileKind::hdf5) return false;
  const io::H5File file = io::H5File::open(path);
  return file.has_attribute("/", "format") &&
         file.string_attribute("/", "format") == io::kDatasetFormat;
}

class DatasetImages final : public SpectrumImages {
 public:
  explicit DatasetImages(io::Dataset data) : data_(std::move(data)) {}
  int64_t count() const override { return data_.size(); }
  int64_t size() const override { return data_.info().resolution; }
  at::Tensor image(int64_t index) const override { return data_.images({index})[0]; }

 private:
  io::Dataset data_;
};

class GeneratedImages final : public SpectrumImages {
 public:
  GeneratedImages(const SpectrumSource& source, int64_t count)
      : g_(load_generator(source.path, source.device)),
        maker_(*g_, request(source)),
        seed_(source.seed),
        count_(count) {}
  int64_t count() const override { return count_; }
  int64_t size() const override { return maker_.layout().width; }
  at::Tensor image(int64_t index) const override {
    io::LegacyRandom random(static_cast<uint32_t>(seed_ + index));
    const at::Tensor z = draw_normals(random, g_->z_dim()).to(g_->arena().options());
    const at::Tensor label = at::zeros({1, g_->c_dim()}, g_->arena().options());
    if (g_->c_dim() > 0) label[0][random.up_to(static_cast<uint32_t>(g_->c_dim() - 1))] = 1;
    std::vector<at::Tensor> rows;
    maker_.make(g_->broadcast(g_->map(z, label)), 0, 255,
                [&](const at::Tensor& portion) { rows.push_back(portion.to(at::kByte)); });
    return at::cat(rows).permute({2, 0, 1});
  }

 private:
  static ImageRequest request(const SpectrumSource& source) {
    ImageRequest request;
    request.scale = source.scale;
    return request;
  }

  std::unique_ptr<Generator> g_;
  ImageMaker maker_;
  int64_t seed_, count_;
};

}  // namespace

std::unique_ptr<SpectrumImages> open_spectrum_images(const SpectrumSource& source) {
  if (!is_dataset(source.path)) {
    if (!source.num)
      throw InputError(
          fmt::format("--num: {} is a network; say how many images it is to make", source.path));
    if (source.seed + *source.num - 1 > UINT32_MAX)
      throw InputError(fmt::format("--seed={}: with --num={} there are seeds above {}", source.seed,
                                   *source.num, UINT32_MAX));
    return std::make_unique<GeneratedImages>(source, *source.num);
  }
  if (source.scale)
    throw InputError(fmt::format("--scale: {} is a dataset; leave it out", source.path));
  io::DatasetView view;
  view.labels = false;
  view.max_size = source.num;
  view.seed = source.seed;
  io::Dataset data = io::Dataset::open(source.path, view);
  if (source.num && *source.num > data.size())
    throw InputError(
        fmt::format("--num={}: {} has {} images only", *source.num, source.path, data.size()));
  return std::make_unique<DatasetImages>(std::move(data));
}

}  // namespace galette

// SPDX-License-Identifier: Apache-2.0
#include "io/dataset_writer.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "io/dataset_file.h"
#include "io/hdf5.h"

namespace galette::io {
namespace {

template <typename T>
at::Tensor to_tensor(const std::vector<T>& values, at::ScalarType type) {
  at::Tensor result = at::empty({static_cast<int64_t>(values.size())}, type);
  std::copy(values.begin(), values.end(), static_cast<T*>(result.data_ptr()));
  return result;
}

void write_names(H5File& file, const std::vector<std::string>& names) {
  std::vector<uint8_t> bytes;
  std::vector<uint64_t> offsets{0};
  for (const std::string& name : names) {
    bytes.insert(bytes.end(), name.begin(), name.end());
    offsets.push_back(bytes.size());
  }
  file.write("names/bytes", to_tensor(bytes, at::kByte));
  file.write("names/offsets", to_tensor(offsets, at::kUInt64));
}

void write_classes(H5File& file, const std::vector<ImageLabel>& labels) {
  std::vector<int64_t> classes;
  for (const ImageLabel& label : labels) classes.push_back(std::get<int64_t>(label));
  file.write("labels/class", to_tensor(classes, at::kLong));
  file.set_attribute("/", "label_kind", "class");
  file.set_attribute("/", "num_classes", *std::max_element(classes.begin(), classes.end()) + 1);
}

void write_vectors(H5File& file, const std::vector<ImageLabel>& labels) {
  std::vector<float> values;
  for (const ImageLabel& label : labels) {
    const auto& vector = std::get<std::vector<float>>(label);
    values.insert(values.end(), vector.begin(), vector.end());
  }
  const at::Tensor rows =
      to_tensor(values, at::kFloat).view({static_cast<int64_t>(labels.size()), -1});
  file.write("labels/vector", rows);
  file.set_attribute("/", "label_kind", "vector");
  file.set_attribute("/", "label_dim", rows.size(1));
}

void write_labels(H5File& file, const std::vector<ImageLabel>& labels) {
  if (labels.empty()) return file.set_attribute("/", "label_kind", "none");
  if (std::holds_alternative<int64_t>(labels.front())) return write_classes(file, labels);
  write_vectors(file, labels);
}

/// Standard deviation of values with these sums, over the whole population.
double deviation(double sum, double square, double count) {
  const double mean = sum / count;
  return std::sqrt(std::max(square / count - mean * mean, 0.0));
}

void write_statistics(H5File& file, const PixelSums& sums, double pixels) {
  std::vector<double> means, deviations;
  double all_sum = 0, all_square = 0;
  for (size_t c = 0; c < sums.sum.size(); ++c) {
    const auto sum = static_cast<double>(sums.sum[c]);
    const auto square = static_cast<double>(sums.square[c]);
    means.push_back(sum / pixels);
    deviations.push_back(deviation(sum, square, pixels));
    all_sum += sum, all_square += square;
  }
  file.write("stats/mean", to_tensor(means, at::kDouble));
  file.write("stats/std", to_tensor(deviations, at::kDouble));
  const double values = pixels * static_cast<double>(sums.sum.size());
  file.set_attribute("stats", "mean", all_sum / values);
  file.set_attribute("stats", "std", deviation(all_sum, all_square, values));
}

void write_attributes(H5File& file, const DatasetContents& contents) {
  file.set_attribute("/", "format", kDatasetFormat);
  file.set_attribute("/", "format_version", kDatasetVersion);
  file.set_attribute("/", "layout", "contiguous");
  file.set_attribute("/", "name", contents.name);
  file.set_attribute("/", "num_images", contents.names.size());
  file.set_attribute("/", "resolution", contents.shape.width);
  file.set_attribute("/", "channels", contents.shape.channels);
  file.set_attribute("/", "color", contents.shape.channels == 1 ? "L" : "RGB");
  file.set_attribute("/", "range", "0..255");
  for (const auto& [key, value] : contents.origin) file.set_attribute("/", key, value);
  for (const auto& [key, value] : contents.counts) file.set_attribute("/", key, value);
}

}  // namespace

void PixelSums::add(const uint8_t* planes, size_t plane) {
  for (size_t c = 0; c < sum.size(); ++c) {
    uint64_t s = 0, q = 0;
    for (size_t i = 0; i < plane; ++i) {
      const uint32_t value = planes[c * plane + i];
      s += value;
      q += value * value;
    }
    sum[c] += s, square[c] += q;
  }
}

int64_t create_dataset_file(const std::string& path, int64_t count, const ImageShape& shape) {
  H5File file = H5File::create(path);
  file.create_dataset("images", at::kByte, {count, shape.channels, shape.height, shape.width});
  const int64_t offset = file.raw_offset("images");
  file.close();
  return offset;
}

void finish_dataset_file(const std::string& path, const DatasetContents& contents) {
  H5File file = H5File::open_for_writing(path);
  file.write("checksums", to_tensor(contents.checksums, at::kUInt32));
  write_names(file, contents.names);
  write_labels(file, contents.labels);
  const double plane = double(contents.shape.width) * contents.shape.height;
  write_statistics(file, contents.sums, plane * double(contents.names.size()));
  write_attributes(file, contents);
  file.close();
}

}  // namespace galette::io

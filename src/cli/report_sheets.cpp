// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <filesystem>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "cli/base64.h"
#include "cli/report_run.h"
#include "io/check.h"
#include "io/durable.h"
#include "io/file_util.h"
#include "io/image_codec.h"
#include "io/picture_writer.h"
#include "io/resize.h"

namespace galette {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr const char* kPrefix = "fakes";
constexpr int kQuality = 75;  ///< of JPEG: pages with many sheets are to be sent by mail
constexpr int kStart = -1;    ///< in place of the kimg of fakes_init.png

std::map<int64_t, fs::path> sheet_files(const fs::path& folder) {
  std::map<int64_t, fs::path> files;
  if (fs::exists(folder / "fakes_init.png")) files[kStart] = folder / "fakes_init.png";
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().stem();
    const std::string digits = name.substr(std::min(name.size(), std::string(kPrefix).size()));
    const bool is_number =
        !digits.empty() && digits.size() < 12 &&
        std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (entry.path().extension() == ".png" && name.starts_with(kPrefix) && is_number)
      files[std::stoll(digits)] = entry.path();
  }
  return files;
}

/// Leaves `count` of them, evenly spread, with the first and the last.
void thin_out(std::map<int64_t, fs::path>& files, int count) {
  const auto all = std::exchange(files, {});
  const auto n = static_cast<int64_t>(all.size());
  for (int64_t k = 0; k < std::min<int64_t>(count, n); ++k) {
    const int64_t place = count > 1 && n > count ? k * (n - 1) / (count - 1) : n - 1 - k;
    files.insert(*std::next(all.begin(), place));
  }
}

std::vector<uint8_t> jpeg(const io::Image& image, const std::string& temporary) {
  const auto options = at::TensorOptions().dtype(at::kByte);
  const at::Tensor pixels = at::from_blob(const_cast<uint8_t*>(image.pixels.data()),
                                          {image.height, image.width, image.channels}, options);
  const io::TemporaryFile file(temporary);
  const auto writer =
      io::open_jpeg_picture(temporary, {image.width, image.height, image.channels}, kQuality);
  writer->write(pixels.to(at::kInt));
  writer->finish();
  return io::read_file(temporary);
}

std::string data_uri(const fs::path& path, int width, const std::string& temporary) {
  io::Image image = io::decode_image(io::read_file(path), path.filename());
  if (image.has_alpha()) image = io::composite(image, {255, 255, 255});
  if (image.width > width) {
    const int64_t height = int64_t{image.height} * width / image.width;
    image = io::resize_lanczos(image, width, static_cast<int>(std::max<int64_t>(1, height)));
  }
  return "data:image/jpeg;base64," + base64(jpeg(image, temporary));
}

std::string label_of(int64_t kimg) {
  return kimg == kStart ? "before training" : fmt::format("{} kimg", kimg);
}

}  // namespace

void add_sheets(const std::string& folder, const SheetLimits& limits, const std::string& temporary,
                ordered_json& run) {
  run["sheets"] = ordered_json::array();
  run["reals"] = nullptr;
  ordered_json& notes = run["notes"];
  std::map<int64_t, fs::path> files = sheet_files(folder);
  if (files.empty()) notes.push_back("no sheets of images (fakes*.png) yet");
  thin_out(files, limits.count);
  const auto try_to = [&](const auto& add) {
    try {
      add();
    } catch (const InputError& error) {
      notes.push_back(fmt::format("left out: {}", error.what()));
    }
  };
  for (const auto& [kimg, path] : files) {
    try_to([&] {
      const std::string source = data_uri(path, limits.width, temporary);
      run["sheets"].push_back({{"kimg", kimg}, {"label", label_of(kimg)}, {"src", source}});
    });
  }
  const fs::path reals = fs::path(folder) / "reals.png";
  if (limits.count > 0 && fs::exists(reals))
    try_to([&] { run["reals"] = data_uri(reals, limits.width, temporary); });
}

}  // namespace galette

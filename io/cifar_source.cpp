// SPDX-License-Identifier: Apache-2.0
// CIFAR-10 as it is published for Python: an archive (tar, gzip) with five pickles, each of a
// dictionary with `data`, uint8 [N, 3 * 32 * 32] in planes, and `labels`, N classes. The pickles
// are read as data. Images are counted in the order of the pickles' names; the test set is not
// used.
#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>

#include "io/check.h"
#include "io/gzip_reader.h"
#include "io/image_source.h"
#include "io/pickle_machine.h"

namespace galette::io {
namespace {

using Kind = PickleValue::Kind;

constexpr int kSide = 32, kChannels = 3;
constexpr size_t kImageBytes = size_t{kSide} * kSide * kChannels;
constexpr int64_t kTarBlock = 512, kMaxMember = int64_t{1} << 28;
constexpr std::string_view kMember = "cifar-10-batches-py/data_batch_";

struct TarHeader {
  std::array<uint8_t, kTarBlock> bytes{};

  bool is_end() const {
    return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0; });
  }
  std::string name() const {
    constexpr size_t kLength = 100;
    const auto* text = reinterpret_cast<const char*>(bytes.data());
    return {text, strnlen(text, kLength)};
  }
  /// Octal digits; -1 when there are none.
  int64_t size() const {
    constexpr size_t kStart = 124, kDigits = 11;
    const auto* text = reinterpret_cast<const char*>(bytes.data()) + kStart;
    int64_t size = -1;
    std::from_chars(text, text + kDigits, size, 8);
    return size;
  }
};

class CifarSource : public ImageSource {
 public:
  explicit CifarSource(const std::string& path) {
    std::map<std::string, std::vector<uint8_t>> batches;
    GzipReader archive(path);
    for (TarHeader header;;) {
      archive.fill(header.bytes);
      if (header.is_end()) break;
      const int64_t size = header.size();
      if (size < 0) archive.fail("not a tar archive");
      if (header.name().starts_with(kMember)) {
        if (size > kMaxMember) archive.fail(header.name() + " is too large");
        auto& bytes = batches[header.name()];
        bytes.resize(static_cast<size_t>(size));
        archive.fill(bytes);
      } else {
        archive.skip(size);
      }
      archive.skip((kTarBlock - size % kTarBlock) % kTarBlock);
    }
    for (const auto& [name, bytes] : batches) add(path + "/" + name, bytes);
  }

  std::string kind() const override { return "cifar10"; }
  int64_t size() const override { return static_cast<int64_t>(labels_.size()); }
  std::string name(int64_t index) const override { return fmt::format("{:08d}", index); }
  ImageExtent extent(int64_t /*index*/) override { return {kSide, kSide}; }
  ImageLabel label(int64_t index) const override { return labels_.at(size_t(index)); }

  Image load(int64_t index) override {
    Image image(kSide, kSide, kChannels);
    const char* planes = pixels_.data() + size_t(index) * kImageBytes;
    for (size_t i = 0; i < kImageBytes; ++i)
      image.pixels[i] = static_cast<uint8_t>(planes[i % kChannels * kSide * kSide + i / kChannels]);
    return image;
  }

 private:
  void add(const std::string& name, const std::vector<uint8_t>& bytes) {
    PickleArena arena(name);
    const PickleValue& batch = *PickleMachine(bytes, arena, name).load();
    const PickleValue* labels = batch.find("labels");
    const PickleValue* data = batch.find("data");
    if (labels == nullptr || data == nullptr || !labels->is(Kind::list))
      throw DamagedFile(fmt::format("{}: has no data and labels", name));
    for (const PickleValue* label : labels->items) {
      if (!label->is(Kind::integer) || label->integer < 0)
        throw DamagedFile(fmt::format("{}: a label is no class", name));
      labels_.emplace_back(label->integer);
    }
    const std::string* pixels = array_bytes(*data);
    if (pixels == nullptr || pixels->size() != labels->items.size() * kImageBytes)
      throw DamagedFile(fmt::format("{}: its data are not {} images of 32x32 with 3 bytes", name,
                                    labels->items.size()));
    pixels_ += *pixels;
  }

  /// The elements of a NumPy array: its state is (version, shape, type, Fortran order, bytes).
  static const std::string* array_bytes(const PickleValue& array) {
    const PickleValue* state = array.state;
    const bool sound = array.is(Kind::object) && state != nullptr && state->items.size() == 5 &&
                       state->items[3]->integer == 0 && state->items[4]->is(Kind::bytes);
    return sound ? &state->items[4]->text : nullptr;
  }

  std::string pixels_;
  std::vector<ImageLabel> labels_;
};

}  // namespace

bool is_cifar_name(const std::string& path) {
  return std::filesystem::path(path).filename() == "cifar-10-python.tar.gz";
}

std::unique_ptr<ImageSource> open_cifar_source(const std::string& path) {
  return std::make_unique<CifarSource>(path);
}

}  // namespace galette::io

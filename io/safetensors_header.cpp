// SPDX-License-Identifier: Apache-2.0
#include "io/safetensors_header.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <filesystem>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "io/check.h"

namespace galette::io {
namespace {

using Json = nlohmann::json;

static_assert(std::endian::native == std::endian::little, "tensors are stored as they lie");

constexpr int64_t kAlignment = 8;
constexpr const char* kMetadata = "__metadata__";
// {"name": {"shape": [...]}}: nothing lies deeper.
constexpr int kMaxDepth = 3;
constexpr size_t kMaxAxes = 64;  // as LibTorch has

constexpr std::array<std::pair<const char*, at::ScalarType>, 10> kTypes{{{"F64", at::kDouble},
                                                                         {"F32", at::kFloat},
                                                                         {"F16", at::kHalf},
                                                                         {"BF16", at::kBFloat16},
                                                                         {"I64", at::kLong},
                                                                         {"I32", at::kInt},
                                                                         {"I16", at::kShort},
                                                                         {"I8", at::kChar},
                                                                         {"U8", at::kByte},
                                                                         {"BOOL", at::kBool}}};

const char* type_name(at::ScalarType type) {
  const auto* found =
      std::find_if(kTypes.begin(), kTypes.end(), [&](const auto& t) { return t.second == type; });
  return found == kTypes.end() ? nullptr : found->first;
}

class HeaderParser {
 public:
  HeaderParser(std::string path, int64_t data_bytes)
      : path_(std::move(path)), data_bytes_(data_bytes) {}

  SafetensorsHeader parse(const std::string& text) const {
    const Json json = parse_json(text);
    if (!json.is_object()) damaged("its header is not a JSON object");
    SafetensorsHeader header;
    for (const auto& [name, value] : json.items()) {
      if (name == kMetadata) {
        header.metadata = metadata(value);
      } else {
        header.entries.push_back(entry(name, value));
      }
    }
    check_cover(header.entries);
    return header;
  }

 private:
  [[noreturn]] void damaged(const std::string& what) const {
    throw DamagedFile(fmt::format("{}: not a valid safetensors file: {}", path_, what));
  }

  /// A name that appears twice would hide a tensor, and deep nesting only costs memory.
  Json parse_json(const std::string& text) const {
    std::set<std::string> names;
    std::string repeated;
    bool deep = false;
    const auto watch = [&](int depth, Json::parse_event_t event, Json& value) {
      deep = deep || depth > kMaxDepth;
      if (event == Json::parse_event_t::key && depth == 1 &&
          !names.insert(value.get<std::string>()).second)
        repeated = value.get<std::string>();
      return !deep;
    };
    Json json = Json::parse(text, watch, /*allow_exceptions=*/false);
    if (deep) damaged("its header is nested too deeply");
    if (json.is_discarded()) damaged("its header is not JSON");
    if (!repeated.empty()) damaged(fmt::format("the name '{}' appears twice", repeated));
    return json;
  }

  std::map<std::string, std::string> metadata(const Json& value) const {
    std::map<std::string, std::string> result;
    if (!value.is_object()) damaged("its metadata is not a table of texts");
    for (const auto& [key, text] : value.items()) {
      if (!text.is_string()) damaged("its metadata is not a table of texts");
      result[key] = text.get<std::string>();
    }
    return result;
  }

  /// A whole number of at least 0, if it is one.
  static std::optional<int64_t> count(const Json& value) {
    if (!value.is_number_unsigned()) return std::nullopt;
    const auto number = value.get<uint64_t>();
    if (number > uint64_t{INT64_MAX}) return std::nullopt;
    return static_cast<int64_t>(number);
  }

  std::vector<int64_t> counts(const std::string& name, const Json& value, const char* key) const {
    std::vector<int64_t> result;
    if (!value.contains(key) || !value[key].is_array())
      damaged(fmt::format("tensor '{}' has no '{}'", name, key));
    for (const Json& element : value[key]) {
      const auto number = count(element);
      if (!number) damaged(fmt::format("tensor '{}': '{}' is {}", name, key, value[key].dump()));
      result.push_back(*number);
    }
    return result;
  }

  at::ScalarType type(const std::string& name, const Json& value) const {
    if (!value.contains("dtype") || !value["dtype"].is_string())
      damaged(fmt::format("tensor '{}' has no 'dtype'", name));
    const auto text = value["dtype"].get<std::string>();
    for (const auto& [known, scalar_type] : kTypes)
      if (text == known) return scalar_type;
    throw InputError(
        fmt::format("{}: tensor '{}' has type {}, which is not supported; convert it to F32", path_,
                    name, text));
  }

  SafetensorsEntry entry(const std::string& name, const Json& value) const {
    if (!value.is_object()) damaged(fmt::format("tensor '{}' is not described", name));
    SafetensorsEntry entry{name, type(name, value), counts(name, value, "shape"), 0, 0};
    const auto offsets = counts(name, value, "data_offsets");
    if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > data_bytes_)
      damaged(fmt::format("tensor '{}' lies at bytes {}, the data have {}", name,
                          value["data_offsets"].dump(), data_bytes_));
    entry.begin = offsets[0], entry.end = offsets[1];
    check_size(entry);
    return entry;
  }

  void check_size(const SafetensorsEntry& entry) const {
    // Sides of 0 make the product 0, but strides are products of the others.
    auto bytes = static_cast<int64_t>(c10::elementSize(entry.type)), extent = bytes;
    bool fits = entry.shape.size() <= kMaxAxes;
    for (const int64_t side : entry.shape) {
      fits = fits && !__builtin_mul_overflow(extent, std::max<int64_t>(side, 1), &extent);
      if (fits) bytes *= side;
    }
    if (!fits || bytes != entry.end - entry.begin)
      damaged(fmt::format("tensor '{}' has {} bytes, which does not fit to its shape", entry.name,
                          entry.end - entry.begin));
  }

  /// Every byte of the data belongs to one tensor: sorts, and refuses overlaps and gaps.
  void check_cover(std::vector<SafetensorsEntry>& entries) const {
    std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
      return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
    int64_t end = 0;
    for (const SafetensorsEntry& entry : entries) {
      if (entry.begin != end)
        damaged(fmt::format("tensor '{}' begins at byte {}, the one before ends at {}", entry.name,
                            entry.begin, end));
      end = entry.end;
    }
    if (end != data_bytes_)
      damaged(fmt::format("its tensors end at byte {} of {}", end, data_bytes_));
  }

  std::string path_;
  int64_t data_bytes_;
};

}  // namespace

std::string SafetensorsHeader::encode() const {
  Json json = Json::object();
  if (!metadata.empty()) json[kMetadata] = metadata;
  for (const SafetensorsEntry& entry : entries)
    json[entry.name] = {{"dtype", type_name(entry.type)},
                        {"shape", entry.shape},
                        {"data_offsets", {entry.begin, entry.end}}};
  std::string text = json.dump();
  text.resize((text.size() + kAlignment - 1) / kAlignment * kAlignment, ' ');
  const uint64_t length = text.size();
  std::string bytes(sizeof length, '\0');
  std::memcpy(bytes.data(), &length, sizeof length);
  return bytes + text;
}

SafetensorsHeader read_safetensors_header(const std::string& path, const PositionalFile& file) {
  uint64_t length = 0;
  constexpr int64_t kLengthBytes = sizeof length;
  const auto size = static_cast<int64_t>(std::filesystem::file_size(path));
  if (size < kLengthBytes)
    throw DamagedFile(fmt::format("{}: truncated: it is shorter than its first field", path));
  file.read(&length, kLengthBytes, 0);
  if (length > kMaxSafetensorsHeader || static_cast<int64_t>(length) > size - kLengthBytes)
    throw DamagedFile(fmt::format(
        "{}: truncated or not a safetensors file: its header would have {} bytes", path, length));
  const auto header_bytes = static_cast<int64_t>(length);
  std::string text(length, '\0');
  file.read(text.data(), header_bytes, kLengthBytes);
  const int64_t data_offset = kLengthBytes + header_bytes;
  SafetensorsHeader header = HeaderParser(path, size - data_offset).parse(text);
  header.data_offset = data_offset;
  return header;
}

void check_safetensors_type(const std::string& name, at::ScalarType type) {
  if (type_name(type) == nullptr)
    throw std::runtime_error(fmt::format(
        "tensor '{}' of type {} cannot be kept in a safetensors file", name, c10::toString(type)));
}

}  // namespace galette::io

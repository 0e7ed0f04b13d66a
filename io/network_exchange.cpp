// SPDX-License-Identifier: Apache-2.0
#include "io/network_exchange.h"

#include <charconv>

#include <fmt/format.h>

#include "io/check.h"
#include "io/file_kind.h"

namespace galette::io {
namespace {

using Json = nlohmann::json;

class Metadata {
 public:
  Metadata(const SafetensorsFile& file, std::string path)
      : values_(file.metadata), path_(std::move(path)) {}

  std::string text(const std::string& key) const {
    const auto found = values_.find(key);
    return found == values_.end() ? std::string() : found->second;
  }
  double number(const std::string& key) const {
    const std::string value = text(key);
    double result = 0;
    const char* last = value.data() + value.size();
    if (!value.empty() && std::from_chars(value.data(), last, result).ptr != last)
      fail(key, "not a number");
    return result;
  }
  Json json(const std::string& key, const Json& otherwise) const {
    const std::string value = text(key);
    if (value.empty()) return otherwise;
    Json result = Json::parse(value, nullptr, /*allow_exceptions=*/false);
    if (result.is_discarded()) fail(key, "not JSON");
    return result;
  }
  /// The names that are listed under a key.
  std::vector<std::string> names(const std::string& key) const {
    const Json list = json(key, Json::array());
    std::vector<std::string> result;
    if (!list.is_array()) fail(key, "not a list");
    for (const Json& name : list) {
      if (!name.is_string()) fail(key, "not a list of names");
      result.push_back(name.get<std::string>());
    }
    return result;
  }

 private:
  [[noreturn]] void fail(const std::string& key, const char* what) const {
    throw DamagedFile(fmt::format("{}: its metadata '{}' is {}", path_, key, what));
  }

  const std::map<std::string, std::string>& values_;
  std::string path_;
};

bool has_tensor(const NetworkRecord& record, const std::string& name) {
  return record.tensors.count(name) > 0;
}

}  // namespace

at::Tensor widened(const at::Tensor& value) {
  const bool narrow = value.scalar_type() == at::kHalf || value.scalar_type() == at::kBFloat16;
  return narrow ? value.to(at::kFloat) : value;
}

SafetensorsFile to_safetensors(const NetworkFile& file) {
  SafetensorsFile out;
  out.metadata = {{"kimg", fmt::format("{}", file.kimg)},
                  {"cfg", file.cfg},
                  {"dataset", file.dataset},
                  {"dataset_fingerprint", file.dataset_fingerprint},
                  {"ada_p", fmt::format("{}", file.ada_p)},
                  {"options", file.options.dump()},
                  {"version", file.version}};
  for (const auto& [network, record] : file.networks) {
    Json buffers = Json::array();
    for (const auto& [name, tensor] : record.tensors) {
      out.tensors[fmt::format("{}.{}", network, name)] = tensor.value;
      if (tensor.kind == TensorKind::buffer) buffers.push_back(name);
    }
    out.metadata[network + ".class"] = record.class_name;
    out.metadata[network + ".init"] = record.init.dump();
    out.metadata[network + ".buffers"] = buffers.dump();
  }
  return out;
}

NetworkFile from_safetensors(const SafetensorsFile& in, const std::string& path) {
  const Metadata metadata(in, path);
  NetworkFile file;
  file.kimg = metadata.number("kimg");
  file.cfg = metadata.text("cfg");
  file.dataset = metadata.text("dataset");
  file.dataset_fingerprint = metadata.text("dataset_fingerprint");
  file.ada_p = metadata.number("ada_p");
  file.options = metadata.json("options", Json());
  file.version = metadata.text("version");
  for (const auto& [full_name, value] : in.tensors) {
    const size_t dot = full_name.find('.');
    if (dot == std::string::npos || dot == 0)
      throw InputError(fmt::format(
          "{}: tensor '{}' belongs to no network; names must begin with G., D. or G_ema.", path,
          full_name));
    file.networks[full_name.substr(0, dot)].tensors[full_name.substr(dot + 1)] = {
        widened(value), TensorKind::param};
  }
  for (auto& [network, record] : file.networks) {
    record.class_name = metadata.text(network + ".class");
    record.init = metadata.json(network + ".init", Json::object());
    for (const std::string& name : metadata.names(network + ".buffers"))
      if (has_tensor(record, name)) record.tensors[name].kind = TensorKind::buffer;
  }
  return file;
}

NetworkFile read_networks(const std::string& path) {
  switch (file_kind(path)) {
    case FileKind::safetensors:
      return from_safetensors(read_safetensors(path), path);
    case FileKind::pickle:
      throw InputError(fmt::format(
          "{}: is a Python pickle; turn it into a snapshot first: galette convert --source={} "
          "--dest=FILE.h5",
          path, path));
    case FileKind::zip:
      throw InputError(fmt::format(
          "{}: is a ZIP archive, such as PyTorch's weight files; give a network-snapshot-*.h5 or "
          "safetensors",
          path));
    default:
      return read_network_file(path);
  }
}

std::string generator_family(const NetworkRecord& record) {
  if (has_tensor(record, "synthesis.b4.input.freqs")) return "creps";
  if (has_tensor(record, "synthesis.b4.const")) return "stylegan2";
  if (has_tensor(record, "synthesis.input.freqs")) return "stylegan3";
  return "";
}

}  // namespace galette::io

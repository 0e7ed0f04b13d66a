// SPDX-License-Identifier: Apache-2.0
#include "cli/file_info.h"

#include <filesystem>

#include <fmt/format.h>

#include "io/check.h"
#include "io/checkpoint.h"
#include "io/dataset_file.h"
#include "io/file_kind.h"
#include "io/file_util.h"
#include "io/hdf5.h"
#include "io/network_file.h"
#include "io/pickled_networks.h"
#include "io/safetensors.h"
#include "io/torch_file.h"

namespace galette {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

int64_t non_finite(const at::Tensor& value) {
  return value.is_floating_point() ? value.isfinite().logical_not().sum().item<int64_t>() : 0;
}

Json tensor_row(const std::string& name, const at::Tensor& value, bool verify) {
  Json row{
      {"name", name}, {"type", c10::toString(value.scalar_type())}, {"shape", value.sizes().vec()}};
  if (verify) row["non_finite"] = non_finite(value);
  return row;
}

/// Attributes that are there, as texts; older and newer files have fewer or more.
Json texts(const io::H5File& file, const std::vector<const char*>& names) {
  Json found = Json::object();
  for (const char* name : names)
    if (file.has_attribute("/", name)) found[name] = file.string_attribute("/", name);
  return found;
}

void describe_dataset(Json& info, const std::string& path, bool verify) {
  const io::Dataset data = io::Dataset::open(path);
  const io::DatasetInfo& d = data.info();
  const char* labels[] = {"none", "class", "vector"};
  info["name"] = d.name;
  info["images"] = d.num_images;
  info["resolution"] = d.resolution;
  info["channels"] = d.channels;
  info["labels"] = labels[static_cast<size_t>(d.label_kind)];
  info["label_dim"] = d.label_dim;
  info["fingerprint"] = d.fingerprint;
  info["origin"] = texts(io::H5File::open(path),
                         {"source_kind", "source_name", "transform", "requested_resolution",
                          "tool_version", "created_utc", "options"});
  info["checks"] = Json::array({"shapes and attributes agree"});
  if (!verify) return;
  data.verify();
  info["checks"].push_back("every image matches its checksum");
}

Json describe_network(const io::NetworkRecord& record, bool verify) {
  int64_t parameters = 0, buffers = 0;
  Json tensors = Json::array();
  for (const auto& [name, tensor] : record.tensors) {
    const bool is_parameter = tensor.kind == io::TensorKind::param;
    (is_parameter ? parameters : buffers) += tensor.value.numel();
    Json row = tensor_row(name, tensor.value, verify);
    row["kind"] = is_parameter ? "param" : "buffer";
    tensors.push_back(std::move(row));
  }
  return {{"class", record.class_name},
          {"init", record.init},
          {"parameters", parameters},
          {"buffers", buffers},
          {"tensors", tensors}};
}

void describe_networks(Json& info, const io::NetworkFile& file, bool verify) {
  info["cfg"] = file.cfg;
  info["kimg"] = file.kimg;
  info["dataset"] = file.dataset;
  info["dataset_fingerprint"] = file.dataset_fingerprint;
  info["ada_p"] = file.ada_p;
  info["version"] = file.version;
  info["options"] = file.options;
  for (const auto& [name, record] : file.networks)
    info["networks"][name] = describe_network(record, verify);
}

/// The arrays of a checkpoint, with memory for their content.
io::CheckpointContent arrays_of(const io::H5File& file) {
  io::CheckpointContent content;
  for (const std::string& name : file.list("arrays"))
    content.arrays.push_back(
        {name, at::empty(file.shape("arrays/" + name), file.type("arrays/" + name)), {}});
  return content;
}

/// The options of the run that a checkpoint lies in; null when the file is not there or no JSON.
Json options_beside(const std::string& path) {
  const fs::path file = fs::path(path).parent_path() / "training_options.json";
  if (!fs::is_regular_file(file)) return nullptr;
  const std::vector<uint8_t> text = io::read_file(file.string());
  const Json options = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  return options.is_discarded() ? Json() : options;
}

void describe_checkpoint(Json& info, const io::H5File& file, bool verify) {
  if (!file.exists("commit"))
    throw DamagedFile(fmt::format("{}: was never completed", file.path()));
  const Json state = Json::parse(file.read_text("state"), nullptr, /*allow_exceptions=*/false);
  if (state.is_discarded())
    throw DamagedFile(fmt::format("{}: its state is not JSON", file.path()));
  info["state"] = state;
  info["options"] = options_beside(file.path());
  info["checks"] = Json::array({"it was completed"});
  io::CheckpointContent content = arrays_of(file);
  if (verify) {
    io::read_checkpoint(file.path(), content, MPI_COMM_SELF);
    info["checks"].push_back("every byte matches its checksum");
  }
  info["arrays"] = Json::array();
  for (const io::FlatArray& array : content.arrays)
    info["arrays"].push_back(tensor_row(array.name, array.values, verify));
  info["tensors"] = Json::array();
  for (const std::string& group : file.list("/")) {
    if (group == "arrays" || group == "hashes" || !file.is_group(group)) continue;
    for (const std::string& name : file.list(group)) {
      const std::string path = group + "/" + name;
      info["tensors"].push_back(
          {{"name", path}, {"type", c10::toString(file.type(path))}, {"shape", file.shape(path)}});
    }
  }
}

void describe_hdf5(Json& info, const std::string& path, bool verify) {
  const io::H5File file = io::H5File::open(path);
  const std::string format =
      file.has_attribute("/", "format") ? file.string_attribute("/", "format") : "";
  if (format == io::kDatasetFormat) {
    info["kind"] = "dataset";
    describe_dataset(info, path, verify);
  } else if (format == "galette-network") {
    info["kind"] = "network snapshot";
    info["checks"] = Json::array({"all tensors match the digest"});
    describe_networks(info, io::read_network_file(path), verify);
  } else if (file.exists("arrays") && file.exists("hashes")) {
    info["kind"] = "checkpoint";
    describe_checkpoint(info, file, verify);
  } else {
    throw InputError(fmt::format(
        "{}: an HDF5 file, but no dataset, network snapshot or checkpoint of Galette", path));
  }
}

Json tensor_table(const std::map<std::string, at::Tensor>& tensors, bool verify) {
  Json rows = Json::array();
  for (const auto& [name, value] : tensors) rows.push_back(tensor_row(name, value, verify));
  return rows;
}

void describe_safetensors(Json& info, const std::string& path, bool verify) {
  const io::SafetensorsFile file = io::read_safetensors(path);
  info["metadata"] = file.metadata;
  info["checks"] = Json::array({"every byte belongs to one tensor"});
  info["tensors"] = tensor_table(file.tensors, verify);
}

void describe_pickle(Json& info, const std::string& path, bool verify) {
  info["checks"] = Json::array({"it names nothing but what networks need"});
  describe_networks(info, io::read_pickled_networks(path), verify);
}

void describe_weights(Json& info, const std::string& path, bool verify) {
  info["checks"] = Json::array({"it names nothing but what tensors need"});
  info["tensors"] = tensor_table(io::read_torch_file(path), verify);
}

}  // namespace

Json file_info(const std::string& path, bool verify) {
  const io::FileKind kind = io::file_kind(path);
  Json info{{"file", path}, {"kind", ""}, {"bytes", fs::file_size(path)}};
  switch (kind) {
    case io::FileKind::hdf5:
      describe_hdf5(info, path, verify);
      break;
    case io::FileKind::safetensors:
      info["kind"] = "safetensors";
      describe_safetensors(info, path, verify);
      break;
    case io::FileKind::pickle:
      info["kind"] = "published networks";
      describe_pickle(info, path, verify);
      break;
    case io::FileKind::zip:
      info["kind"] = "PyTorch weights";
      describe_weights(info, path, verify);
      break;
    default:
      throw InputError(fmt::format(
          "{}: not a kind of file that Galette knows: datasets, network snapshots, checkpoints, "
          "safetensors, published networks, PyTorch's weights",
          path));
  }
  return info;
}

}  // namespace galette

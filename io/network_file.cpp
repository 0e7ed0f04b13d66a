// SPDX-License-Identifier: Apache-2.0
#include "io/network_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "io/check.h"
#include "io/checksum.h"
#include "io/durable.h"
#include "io/hdf5.h"

namespace galette::io {
namespace {

constexpr const char* kFormat = "galette-network";
constexpr int64_t kVersion = 1;

const char* kind_name(TensorKind kind) {
  return kind == TensorKind::param ? "param" : "buffer";
}

/// SHA-256 over all that the file says, with a CRC-32C for each tensor's bytes.
std::string digest(const NetworkFile& file) {
  Sha256 sha;
  const auto add = [&](const std::string& line) {
    sha.update(line.data(), line.size());
    sha.update("\n", 1);
  };
  add(fmt::format("{} {} {}", file.kimg, file.ada_p, file.cfg));
  for (const auto& text : {file.dataset, file.dataset_fingerprint, file.version}) add(text);
  add(file.options.dump());
  for (const auto& [network, record] : file.networks) {
    add(fmt::format("{} {} {}", network, record.class_name, record.init.dump()));
    for (const auto& [name, tensor] : record.tensors)
      add(fmt::format("{} {} {} {} {:08x}", name, kind_name(tensor.kind),
                      c10::toString(tensor.value.scalar_type()),
                      fmt::join(tensor.value.sizes(), "x"),
                      crc32c(tensor.value.const_data_ptr(), tensor.value.nbytes())));
  }
  return sha.hex_digest();
}

/// The same file with all tensors contiguous in host memory.
NetworkFile on_host(NetworkFile file) {
  for (auto& [network, record] : file.networks)
    for (auto& [name, tensor] : record.tensors)
      tensor.value = tensor.value.detach().cpu().contiguous();
  return file;
}

uint64_t needed_bytes(const NetworkFile& file) {
  constexpr uint64_t kPerTensor = 1024;  // names, attributes, alignment
  uint64_t bytes = 0;
  for (const auto& [network, record] : file.networks)
    for (const auto& [name, tensor] : record.tensors) bytes += tensor.value.nbytes() + kPerTensor;
  return bytes;
}

void write_header(H5File& out, const NetworkFile& file) {
  out.set_attribute("/", "format", kFormat);
  out.set_attribute("/", "format_version", kVersion);
  out.set_attribute("/", "kimg", file.kimg);
  out.set_attribute("/", "cfg", file.cfg);
  out.set_attribute("/", "dataset", file.dataset);
  out.set_attribute("/", "dataset_fingerprint", file.dataset_fingerprint);
  out.set_attribute("/", "ada_p", file.ada_p);
  out.set_attribute("/", "options", file.options.dump());
  out.set_attribute("/", "version", file.version);
  out.set_attribute("/", "digest", digest(file));
}

void write_network(H5File& out, const std::string& network, const NetworkRecord& record) {
  out.create_group(network);
  out.set_attribute(network, "class", record.class_name);
  out.set_attribute(network, "init", record.init.dump());
  for (const auto& [name, tensor] : record.tensors) {
    const std::string path = network + "/" + name;
    out.write(path, tensor.value);
    out.set_attribute(path, "kind", kind_name(tensor.kind));
  }
}

nlohmann::json json_attribute(const H5File& in, const std::string& object,
                              const std::string& name) {
  const auto text = in.string_attribute(object, name);
  auto value = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded())
    throw DamagedFile(
        fmt::format("{}: attribute '{}' of '{}' is not JSON", in.path(), name, object));
  return value;
}

void check_format(const H5File& in) {
  if (!in.has_attribute("/", "format") || in.string_attribute("/", "format") != kFormat)
    throw InputError(
        fmt::format("{}: is not a network file; give a network-snapshot-*.h5", in.path()));
  const int64_t version = in.int_attribute("/", "format_version");
  if (version != kVersion)
    throw InputError(
        fmt::format("{}: has format version {}, this program reads {}; use the program "
                    "that wrote it",
                    in.path(), version, kVersion));
}

NetworkRecord read_network(const H5File& in, const std::string& network) {
  NetworkRecord record;
  record.class_name = in.string_attribute(network, "class");
  record.init = json_attribute(in, network, "init");
  for (const auto& name : in.list(network)) {
    const std::string path = network + "/" + name;
    const bool param = in.string_attribute(path, "kind") == kind_name(TensorKind::param);
    record.tensors[name] = {in.read(path), param ? TensorKind::param : TensorKind::buffer};
  }
  return record;
}

}  // namespace

std::string network_snapshot_name(int64_t kimg) {
  return fmt::format("network-snapshot-{:06d}.h5", kimg);
}

void write_network_file(const std::string& path, const NetworkFile& file) {
  const NetworkFile host = on_host(file);
  TemporaryFile temporary(path + ".tmp");
  reserve_space(temporary.path(), needed_bytes(host));
  auto out = H5File::create(temporary.path());
  write_header(out, host);
  for (const auto& [network, record] : host.networks) write_network(out, network, record);
  out.close();
  replace_durably(temporary.path(), path);
  temporary.keep();
}

NetworkFile read_network_file(const std::string& path) {
  const auto in = H5File::open(path);
  check_format(in);
  NetworkFile file;
  file.kimg = in.double_attribute("/", "kimg");
  file.cfg = in.string_attribute("/", "cfg");
  file.dataset = in.string_attribute("/", "dataset");
  file.dataset_fingerprint = in.string_attribute("/", "dataset_fingerprint");
  file.ada_p = in.double_attribute("/", "ada_p");
  file.options = json_attribute(in, "/", "options");
  file.version = in.string_attribute("/", "version");
  for (const auto& network : in.list("/")) file.networks[network] = read_network(in, network);
  if (in.string_attribute("/", "digest") != digest(file))
    throw DamagedFile(fmt::format("{}: its content does not match its digest", path));
  return file;
}

}  // namespace galette::io

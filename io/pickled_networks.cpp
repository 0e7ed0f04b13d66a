// SPDX-License-Identifier: Apache-2.0
#include "io/pickled_networks.h"

#include <filesystem>

#include <fmt/format.h>

#include "io/check.h"
#include "io/file_util.h"
#include "io/network_exchange.h"
#include "io/pickle_machine.h"

namespace galette::io {
namespace {

using Kind = PickleValue::Kind;
using Json = nlohmann::json;

// Published networks are five modules deep and have some hundred of them.
constexpr int kMaxDepth = 32;
constexpr int kMaxModules = 10'000;
constexpr int kMaxArguments = 10'000;

class ModuleReader {
 public:
  ModuleReader(std::string path, uint64_t file_bytes)
      : path_(std::move(path)), bytes_left_(2 * file_bytes) {}

  NetworkRecord read(const std::string& network, const PickleValue& module) {
    NetworkRecord record;
    record.init = arguments(network, module);
    collect(module, "", record, 0);
    const std::string family = generator_family(record);
    if (network == "D") {
      record.class_name = "training.networks_stylegan2." + module.text;
    } else {
      record.class_name =
          fmt::format("training.networks_{}.{}", family.empty() ? "unknown" : family, module.text);
    }
    return record;
  }

  Json json(const PickleValue& value, int depth = 0) {
    if (depth > kMaxDepth || ++arguments_ > kMaxArguments)
      fail("its arguments are nested too deeply");
    switch (value.kind) {
      case Kind::boolean:
        return value.integer != 0;
      case Kind::integer:
        return value.integer;
      case Kind::real:
        return value.real;
      case Kind::text:
        return value.text;
      case Kind::list:
      case Kind::tuple: {
        Json list = Json::array();
        for (const PickleValue* item : value.items) list.push_back(json(*item, depth + 1));
        return list;
      }
      case Kind::dict: {
        Json object = Json::object();
        for (size_t i = 0; i + 1 < value.items.size(); i += 2)
          object[value.items[i]->text] = json(*value.items[i + 1], depth + 1);
        return object;
      }
      default:
        return nullptr;
    }
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw InputError(fmt::format("{}: {}", path_, what));
  }

  /// The constructor's arguments, which the published training program gives by name.
  Json arguments(const std::string& network, const PickleValue& module) {
    const PickleValue* positional = module.find("_init_args");
    const PickleValue* named = module.find("_init_kwargs");
    if (named == nullptr || !named->is(Kind::dict))
      fail(fmt::format("{} does not say what it was built with", network));
    if (positional != nullptr && !positional->items.empty())
      fail(fmt::format("{} was built with arguments without names, which are not understood",
                       network));
    return json(*named);
  }

  void collect(const PickleValue& module, const std::string& prefix, NetworkRecord& record,
               int depth) {
    if (depth > kMaxDepth || ++modules_ > kMaxModules) fail("its modules are nested too deeply");
    add_tensors(module, "_parameters", prefix, TensorKind::param, record);
    add_tensors(module, "_buffers", prefix, TensorKind::buffer, record);
    const PickleValue* children = module.find("_modules");
    if (children == nullptr) return;
    for (size_t i = 0; i + 1 < children->items.size(); i += 2)
      if (children->items[i + 1]->is(Kind::object))
        collect(*children->items[i + 1], prefix + children->items[i]->text + ".", record,
                depth + 1);
  }

  void add_tensors(const PickleValue& module, const std::string& table, const std::string& prefix,
                   TensorKind kind, NetworkRecord& record) {
    const PickleValue* entries = module.find(table);
    if (entries == nullptr || !entries->is(Kind::dict)) return;
    for (size_t i = 0; i + 1 < entries->items.size(); i += 2) {
      const PickleValue& value = *entries->items[i + 1];
      if (!value.is(Kind::tensor)) continue;
      // Views may share a storage; real networks repeat nothing.
      if (value.tensor.nbytes() > bytes_left_) fail("its tensors are larger than the file");
      bytes_left_ -= value.tensor.nbytes();
      record.tensors[prefix + entries->items[i]->text] = {widened(value.tensor).contiguous(), kind};
    }
  }

  std::string path_;
  uint64_t bytes_left_;
  int modules_ = 0, arguments_ = 0;
};

/// Both kinds of StyleGAN3 have the same modules; one has pointwise convolutions.
std::string cfg_of(const NetworkRecord& g) {
  const std::string family = generator_family(g);
  if (family != "stylegan3") return family;
  return g.init.contains("conv_kernel") && g.init["conv_kernel"] == 1 ? "stylegan3-r"
                                                                      : "stylegan3-t";
}

/// The training set's name, without the folders of the machine where it was.
void describe_training_set(const PickleValue& top, ModuleReader& reader, NetworkFile& file) {
  const PickleValue* arguments = top.find("training_set_kwargs");
  if (arguments == nullptr) return;
  file.options = {{"training_set_kwargs", reader.json(*arguments)}};
  const PickleValue* path = arguments->find("path");
  if (path != nullptr && path->is(Kind::text))
    file.dataset = std::filesystem::path(path->text).stem().string();
}

}  // namespace

NetworkFile read_pickled_networks(const std::string& path) {
  const std::vector<uint8_t> bytes = read_file(path);
  PickleArena arena(path);
  PickleMachine machine(bytes, arena, path);
  const PickleValue& top = *machine.load();
  ModuleReader reader(path, bytes.size());
  NetworkFile file;
  for (const char* network : {"G", "D", "G_ema"}) {
    const PickleValue* module = top.find(network);
    if (module != nullptr && module->is(Kind::object))
      file.networks[network] = reader.read(network, *module);
  }
  if (file.networks.empty())
    throw InputError(fmt::format("{}: a pickle without networks G, D or G_ema", path));
  describe_training_set(top, reader, file);
  const auto g = file.networks.find("G_ema");
  if (g != file.networks.end()) file.cfg = cfg_of(g->second);
  return file;
}

}  // namespace galette::io

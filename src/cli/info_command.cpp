// SPDX-License-Identifier: Apache-2.0
#include "cli/info_command.h"

#include <memory>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/exit_code.h"
#include "base/log.h"
#include "cli/file_info.h"
#include "io/together.h"

namespace galette {
namespace {

using Json = nlohmann::ordered_json;

struct InfoOptions {
  std::string file;
  bool json = false;
  bool verify = false;
};

std::string plain(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

bool is_table(const Json& value) {
  return value.is_array() && !value.empty() && value[0].is_object() && value[0].contains("shape");
}

void print_table(const std::string& title, const Json& rows) {
  log::info("{} ({}):", title, rows.size());
  for (const Json& row : rows) {
    const auto shape = row["shape"].get<std::vector<int64_t>>();
    std::string line = fmt::format("  {:<44} {:<8} {:<6} {}", row["name"].get<std::string>(),
                                   row["type"].get<std::string>(), row.value("kind", ""),
                                   shape.empty() ? "1" : fmt::format("{}", fmt::join(shape, "x")));
    if (row.value("non_finite", 0) > 0)
      line += fmt::format("  {} not finite", row["non_finite"].get<int64_t>());
    log::info("{}", line);
  }
}

/// One line per value; objects and tables of tensors follow under their own titles.
void print(const Json& info, const std::string& path) {
  for (const auto& [key, value] : info.items()) {
    const std::string name = path.empty() ? key : path + "." + key;
    if (is_table(value)) {
      print_table(name, value);
    } else if (value.is_object()) {
      print(value, name);
    } else if (key == "checks") {
      for (const Json& check : value) log::info("{:<28} {}", "checked", plain(check));
    } else {
      log::info("{:<28} {}", name, plain(value));
    }
  }
}

int info(const InfoOptions& o) {
  io::on_root(MPI_COMM_WORLD, [&] {
    const Json result = file_info(o.file, o.verify);
    if (o.json) {
      log::info("{}", result.dump(2));
    } else {
      print(result, "");
    }
  });
  return kExitDone;
}

}  // namespace

void add_info_command(CLI::App& app, Action& action) {
  CLI::App* sub = app.add_subcommand("info", "Tells what a file is and holds");
  auto options = std::make_shared<InfoOptions>();
  sub->add_option("FILE", options->file,
                  "dataset, network snapshot, checkpoint, safetensors, published pickle or *.pth")
      ->required();
  sub->add_flag("--json", options->json, "print one JSON object");
  sub->add_flag("--verify", options->verify,
                "compare all bytes with their checksums, and count numbers that are not finite");
  sub->callback([options, &action] { action = [options] { return info(*options); }; });
}

}  // namespace galette

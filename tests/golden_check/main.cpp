// SPDX-License-Identifier: Apache-2.0
// galette_golden [--cases=GLOB,…] [--types=…] [--device=cuda] FILE…
// Runs Galette's code on stored inputs and compares with stored outputs, in float32 and float64.
// Exits with 1 on any difference and on any file or selected case that it does not know, and with
// 77 when there is no such device.
#include <algorithm>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fnmatch.h>

#include "golden.h"
#include "parallel/gpu.h"
#include "parallel/mpi_session.h"

namespace galette::golden {
namespace {

constexpr int kNoDevice = 77;  // CTest's sign of a skipped test

struct Selection {
  std::vector<std::string> globs;
  std::vector<std::string> types{"float32", "float64"};
  at::Device device = at::kCPU;

  bool includes(const std::string& name) const {
    return globs.empty() || std::any_of(globs.begin(), globs.end(), [&](const std::string& glob) {
             return fnmatch(glob.c_str(), name.c_str(), 0) == 0;
           });
  }
};

std::vector<Section> all_sections() {
  return {augment_section(),
          creps_generator_section(),
          discriminator_section(),
          loss_phases_section(),
          optimizer_ema_section(),
          inception_section(),
          infinite_sampler_section(),
          metrics_math_section(),
          ops_bias_act_section(),
          ops_upfirdn2d_section(),
          ops_filtered_lrelu_section(),
          stylegan2_generator_section(),
          stylegan3t_generator_section(),
          stylegan3r_generator_section()};
}

void run_case(const Section& section, const io::H5File& file, const std::string& name,
              const Selection& selection, Report& report) {
  for (const std::string& type : selection.types) {
    try {
      const at::ScalarType element = type == "float32" ? at::kFloat : at::kDouble;
      const Case c(file, name, at::TensorOptions(selection.device).dtype(element), report);
      if (!section.run(c))
        report.failure(file.path(), name, "is a case that this program does not know");
    } catch (const std::exception& error) {
      report.failure(file.path(), name, fmt::format("{}: {}", type, error.what()));
    }
  }
}

void run_file(const std::string& path, const Selection& selection, Report& report) {
  const io::H5File file = io::H5File::open(path);
  const std::string kind =
      file.has_attribute("/", "kind") ? file.string_attribute("/", "kind") : "";
  const std::vector<Section> sections = all_sections();
  const auto section = std::find_if(sections.begin(), sections.end(),
                                    [&](const Section& s) { return s.kind == kind; });
  if (section == sections.end()) {
    report.failure(path, "-",
                   fmt::format("is of kind '{}', which this program does not know", kind));
    return;
  }
  if (section->is_for_cpu && !selection.device.is_cpu()) {
    fmt::print("SKIP {}: is for CPUs alone\n", path);
    return;
  }
  int selected = 0;
  for (const std::string& name : section->cases(file)) {
    if (!selection.includes(name)) continue;
    ++selected;
    run_case(*section, file, name, selection, report);
  }
  if (selected == 0) report.failure(path, "-", "has no case that --cases selects");
}

int run(int argc, char** argv) {
  CLI::App app("Compares Galette with stored reference values");
  Selection selection;
  std::vector<std::string> files;
  app.add_option("--cases", selection.globs, "only cases that match one of these globs")
      ->delimiter(',');
  app.add_option("--types", selection.types, "float32, float64")
      ->delimiter(',')
      ->check(CLI::IsMember({"float32", "float64"}));
  std::string device = "cpu";
  app.add_option("--device", device, "cpu or cuda")->check(CLI::IsMember({"cpu", "cuda"}));
  app.add_option("files", files, "golden files")->required();
  CLI11_PARSE(app, argc, argv);
  if (device == "cuda") {
    if (visible_gpus().empty()) {
      fmt::print("NO GPU: the golden check was not run on one\n");
      return kNoDevice;
    }
    use_gpu(0);
    at::globalContext().setAllowTF32CuDNN(false);
    selection.device = at::Device(at::kCUDA, 0);
  }

  Report report;
  for (const std::string& path : files) {
    try {
      run_file(path, selection, report);
    } catch (const std::exception& error) {
      report.failure(path, "-", error.what());
    }
  }
  fmt::print("{} passed, {} failed\n", report.passed(), report.failed());
  return report.failed() == 0 && report.passed() > 0 ? 0 : 1;
}

}  // namespace
}  // namespace galette::golden

int main(int argc, char** argv) {
  const galette::MpiSession mpi(&argc, &argv);
  return galette::golden::run(argc, argv);
}

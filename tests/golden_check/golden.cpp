// SPDX-License-Identifier: Apache-2.0
#include "golden.h"

#include <fmt/format.h>

namespace galette::golden {

void Report::line(bool pass, const std::string& file, const std::string& name,
                  const std::string& quantity, double max_abs, double max_rel, double tolerance) {
  if (quiet_) return;
  ++(pass ? passed_ : failed_);
  fmt::print("{} {} {} {} max_abs={:.3g} max_rel={:.3g} tol={:.3g}\n", pass ? "PASS" : "FAIL", file,
             name, quantity, max_abs, max_rel, tolerance);
}

void Report::failure(const std::string& file, const std::string& name, const std::string& what) {
  if (quiet_) return;
  ++failed_;
  fmt::print("FAIL {} {} {}\n", file, name, what);
}

namespace {

std::string base_name(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}
std::string type_name(at::ScalarType type) {
  return type == at::kFloat ? "float32" : "float64";
}

}  // namespace

nlohmann::json Case::config() const {
  const std::string object = file_.has_attribute(name_, "config") ? name_ : "/";
  return nlohmann::json::parse(file_.string_attribute(object, "config"));
}

std::vector<std::string> Case::grad_none(const std::string& path) const {
  return nlohmann::json::parse(file_.string_attribute(name_ + "/" + path, "grad_none"));
}

void Case::compare(const std::string& path, const at::Tensor& actual) const {
  compare(path, actual, tolerance());
}

void Case::compare(const std::string& path, const at::Tensor& actual, double tolerance) const {
  compare_value(path, actual, raw(path), tolerance);
}

void Case::compare_value(const std::string& quantity, const at::Tensor& actual,
                         const at::Tensor& expected, double tolerance) const {
  const std::string label = quantity + ":" + type_name(type());
  if (!actual.defined() || actual.sizes() != expected.sizes()) {
    const std::string got = actual.defined() ? fmt::format("{}", fmt::join(actual.sizes(), "x"))
                                             : std::string("nothing");
    report_.failure(
        base_name(file_.path()), name_,
        fmt::format("{} has shape {}, expected {}", label, got, fmt::join(expected.sizes(), "x")));
    return;
  }
  if (expected.numel() == 0) {
    report_.line(true, base_name(file_.path()), name_, label, 0, 0, tolerance);
    return;
  }
  const at::Tensor want = expected.to(at::kCPU, at::kDouble);
  const double scale = want.abs().max().item<double>();
  const double max_abs =
      (actual.detach().to(at::kCPU, at::kDouble) - want).abs().max().item<double>();
  const double max_rel = scale > 0 ? max_abs / scale : max_abs;
  // Written so that NaN fails.
  report_.line(max_rel <= tolerance, base_name(file_.path()), name_, label, max_abs, max_rel,
               tolerance);
}

void Case::expect(bool condition, const std::string& what) const {
  report_.line(condition, base_name(file_.path()), name_, what + ":" + type_name(type()),
               condition ? 0 : 1, condition ? 0 : 1, 0);
}

std::vector<std::string> root_groups(const io::H5File& file) {
  std::vector<std::string> names;
  for (const std::string& name : file.list("/")) {
    if (file.is_group(name)) names.push_back(name);
  }
  return names;
}

std::vector<std::string> nested_groups(const io::H5File& file) {
  std::vector<std::string> names;
  for (const std::string& outer : root_groups(file)) {
    for (const std::string& inner : file.list(outer)) names.push_back(outer + "/" + inner);
  }
  return names;
}

}  // namespace galette::golden

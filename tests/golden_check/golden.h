// SPDX-License-Identifier: Apache-2.0
// What a section of the golden check needs: one case of one file in one element type and on one
// device, its stored tensors, and a comparison that prints a line and remembers failures.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include "io/hdf5.h"

namespace galette::golden {

/// Counts and prints the outcome of every quantity.
class Report {
 public:
  /// A quiet one prints and counts nothing.
  explicit Report(bool quiet = false) : quiet_(quiet) {}
  /// `PASS|FAIL <file> <case> <quantity> max_abs=… max_rel=… tol=…`
  void line(bool pass, const std::string& file, const std::string& name,
            const std::string& quantity, double max_abs, double max_rel, double tolerance);
  /// `FAIL <file> <case> <what>`, for anything that could not be compared.
  void failure(const std::string& file, const std::string& name, const std::string& what);
  int passed() const { return passed_; }
  int failed() const { return failed_; }

 private:
  bool quiet_;
  int passed_ = 0;
  int failed_ = 0;
};

/// One case (an HDF5 group).
class Case {
 public:
  /// `options`: element type and device.
  Case(const io::H5File& file, std::string name, at::TensorOptions options, Report& report)
      : file_(file), name_(std::move(name)), options_(options), report_(report) {}

  const std::string& name() const { return name_; }
  const io::H5File& file() const { return file_; }
  at::ScalarType type() const { return c10::typeMetaToScalarType(options_.dtype()); }
  at::TensorOptions options() const { return options_; }
  /// 1e-4 of the largest magnitude in float32, 1e-9 in float64.
  double tolerance() const { return type() == at::kFloat ? 1e-4 : exact_tolerance_; }
  /// The same case with another tolerance in float64.
  Case with_exact_tolerance(double tolerance) const {
    Case copy = *this;
    copy.exact_tolerance_ = tolerance;
    return copy;
  }

  bool has(const std::string& path) const { return file_.exists(name_ + "/" + path); }
  /// The stored tensor `<case>/<path>` as it is (integers, say), on the CPU.
  at::Tensor raw(const std::string& path) const { return file_.read(name_ + "/" + path); }
  /// The stored tensor in this case's element type, on its device.
  at::Tensor get(const std::string& path) const { return raw(path).to(options_); }
  /// Names below the group `<case>/<path>`.
  std::vector<std::string> list(const std::string& path) const {
    return file_.list(name_ + "/" + path);
  }
  /// The JSON of attribute `config` on the case, or on the file when the case has none.
  nlohmann::json config() const;
  /// The names in attribute `grad_none` of group `<case>/<path>`.
  std::vector<std::string> grad_none(const std::string& path) const;

  /// Compares with the stored float64 tensor `<case>/<path>`: the largest deviation relative to the
  /// largest magnitude of the stored one. Shapes must be equal.
  void compare(const std::string& path, const at::Tensor& actual) const;
  void compare(const std::string& path, const at::Tensor& actual, double tolerance) const;
  /// The same against a tensor that is not in the file as such.
  void compare_value(const std::string& quantity, const at::Tensor& actual,
                     const at::Tensor& expected, double tolerance) const;
  /// A condition without a number.
  void expect(bool condition, const std::string& what) const;

 private:
  const io::H5File& file_;
  std::string name_;
  at::TensorOptions options_;
  Report& report_;
  double exact_tolerance_ = 1e-9;
};

/// What one kind of file tests.
struct Section {
  std::string kind;                                                  ///< root attribute `kind`
  std::function<std::vector<std::string>(const io::H5File&)> cases;  ///< its case groups
  /// Runs one case; returns false when the case is of a sort that this program does not know.
  std::function<bool(const Case&)> run;
  bool is_for_cpu = false;  ///< of what GPUs have no part in
};

/// Case lists: groups of the root, or groups of groups ("lrelu/nchw_all").
std::vector<std::string> root_groups(const io::H5File& file);
std::vector<std::string> nested_groups(const io::H5File& file);

// One function per section, in the file of its name.
Section augment_section();
Section creps_generator_section();
Section discriminator_section();
Section loss_phases_section();
Section optimizer_ema_section();
Section inception_section();
Section metrics_math_section();
Section infinite_sampler_section();
Section ops_bias_act_section();
Section ops_filtered_lrelu_section();
Section ops_upfirdn2d_section();
Section stylegan2_generator_section();
Section stylegan3r_generator_section();
Section stylegan3t_generator_section();

}  // namespace galette::golden

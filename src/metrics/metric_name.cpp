// SPDX-License-Identifier: Apache-2.0
#include "metrics/metric_name.h"

#include <array>
#include <charconv>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "io/check.h"

namespace galette {
namespace {

struct Form {
  std::string_view before, after;  ///< of the number
  MetricKind kind;
  bool higher_is_better;
};

constexpr std::array<Form, 11> kForms{{
    {"fid", "_full", MetricKind::by_detector, false},
    {"kid", "_full", MetricKind::by_detector, false},
    {"pr", "k3_full", MetricKind::by_detector, true},
    {"eqt", "_int", MetricKind::eqt_int, true},
    {"eqt", "_frac", MetricKind::eqt_frac, true},
    {"eqr", "", MetricKind::eqr, true},
    {"scale_consistency", "", MetricKind::scale_consistency, true},
    {"fid", "", MetricKind::by_detector, false},
    {"kid", "", MetricKind::by_detector, false},
    {"pr", "k3", MetricKind::by_detector, true},
    {"is", "", MetricKind::by_detector, true},
}};
constexpr std::string_view kPathLength = "ppl2_wend";
constexpr int64_t kPublishedSamples = 50'000;
constexpr int64_t kMostSamples = 100'000'000;

/// `50k` is 50000; nothing for other texts, 0 and what is out of range.
std::optional<int64_t> parse_count(std::string_view text) {
  int64_t unit = 1;
  if (text.ends_with('k')) {
    unit = 1000;
    text.remove_suffix(1);
  }
  int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || end != text.data() + text.size() || text.starts_with('0')) return {};
  if (count < 1 || count > kMostSamples / unit) return {};
  return count * unit;
}

std::optional<int64_t> match(const Form& form, std::string_view name) {
  if (name.size() <= form.before.size() + form.after.size() || !name.starts_with(form.before) ||
      !name.ends_with(form.after)) {
    return {};
  }
  // The k of "50k3" belongs to the number.
  const size_t end = name.size() - form.after.size() + (form.after.starts_with('k') ? 1 : 0);
  return parse_count(name.substr(form.before.size(), end - form.before.size()));
}

std::string all_names() {
  std::string names;
  for (const Form& form : kForms) {
    const bool has_unit = form.after.starts_with('k');
    names += fmt::format("{}50{}{}, ", form.before, has_unit ? "" : "k", form.after);
  }
  return names + std::string(kPathLength);
}

}  // namespace

Metric parse_metric(const std::string& name) {
  if (name == kPathLength) return {name, MetricKind::by_detector, kPublishedSamples, false};
  for (const Form& form : kForms) {
    if (const auto count = match(form, name)) {
      return {name, form.kind, *count, form.higher_is_better};
    }
  }
  throw InputError(
      fmt::format("'{}' is not one of {} (with any number for 50k)", name, all_names()));
}

std::string metric_obstacle(const Metric& metric, const std::string& family) {
  switch (metric.kind) {
    case MetricKind::by_detector:
      return "needs the file of a detector network, which this version cannot use";
    case MetricKind::scale_consistency:
      return family == "creps" ? "" : "needs a CREPS network";
    default:
      return family == "stylegan3" ? "" : "needs a StyleGAN3 network";
  }
}

}  // namespace galette

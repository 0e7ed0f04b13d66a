// SPDX-License-Identifier: Apache-2.0
#include "metrics/metric_name.h"

#include <algorithm>
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
  std::string_view detector = "";
};

constexpr std::string_view kPathLength = "ppl2_wend";  // its number may be left out

constexpr std::array<Form, 14> kForms{{
    {"fid", "_full", MetricKind::frechet, false, "inception"},
    {"kid", "_full", MetricKind::kernel, false, "inception"},
    {"pr", "k3_full", MetricKind::precision_recall, true, "vgg16"},
    {"eqt", "_int", MetricKind::eqt_int, true},
    {"eqt", "_frac", MetricKind::eqt_frac, true},
    {"eqr", "", MetricKind::eqr, true},
    {"scale_consistency", "", MetricKind::scale_consistency, true},
    {"fid", "", MetricKind::frechet, false, "inception"},
    {"kid", "", MetricKind::kernel, false, "inception"},
    {"pr", "k3", MetricKind::precision_recall, true, "vgg16"},
    {"is", "", MetricKind::inception_score, true, "inception"},
    {"fd_efficientnet", "_full", MetricKind::frechet, false, "efficientnet"},
    {"fd_efficientnet", "", MetricKind::frechet, false, "efficientnet"},
    {kPathLength, "", MetricKind::path_length, false, "lpips"},
}};
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
    if (form.before == kPathLength) continue;
    const bool has_unit = form.after.starts_with('k');
    names += fmt::format("{}50{}{}, ", form.before, has_unit ? "" : "k", form.after);
  }
  return names + std::string(kPathLength);
}

}  // namespace

Metric parse_metric(const std::string& name) {
  if (name == kPathLength) {
    return {name, MetricKind::path_length, kPublishedSamples, false, "lpips"};
  }
  for (const Form& form : kForms) {
    if (const auto count = match(form, name)) {
      return {name,
              form.kind,
              *count,
              form.higher_is_better,
              std::string(form.detector),
              form.after.ends_with("_full")};
    }
  }
  throw InputError(
      fmt::format("'{}' is not one of {} (with any number for 50k)", name, all_names()));
}

std::string metric_obstacle(const Metric& metric, const std::string& family,
                            const std::vector<std::string>& detectors) {
  switch (metric.kind) {
    case MetricKind::scale_consistency:
      return family == "creps" ? "" : "needs a CREPS network";
    case MetricKind::eqt_int:
    case MetricKind::eqt_frac:
    case MetricKind::eqr:
      return family == "stylegan3" ? "" : "needs a StyleGAN3 network";
    default:
      break;
  }
  if (family.empty() && metric.kind == MetricKind::path_length) return "needs a network";
  if (std::find(detectors.begin(), detectors.end(), metric.detector) != detectors.end()) return "";
  if (metric.kind == MetricKind::path_length) {
    return "needs the weights of VGG16 and of the heads of LPIPS: give their file with --detector, "
           "and that of the heads, if it is another, with --detector-heads";
  }
  return fmt::format(
      "needs the weights of the detector network {}: give their file with --detector",
      metric.detector);
}

}  // namespace galette

// SPDX-License-Identifier: Apache-2.0
#include "cli/spectrum_plot.h"

#include <cmath>
#include <numbers>

#include <fmt/format.h>

#include "io/output_file.h"

namespace galette {
namespace {

constexpr double kLeastPower = 1e-30;  // a black image has a logarithm too

/// Along the last axis of [h, w].
at::Tensor blur_rows(const at::Tensor& x, double deviation) {
  constexpr double kReach = 4;  // deviations, beyond which the weights vanish
  const auto radius = static_cast<int64_t>(std::lround(kReach * deviation));
  const at::Tensor offset = at::arange(-radius, radius + 1, at::kDouble) / deviation;
  at::Tensor weights = (offset.square() * -0.5).exp();
  weights = (weights / weights.sum()).view({1, 1, -1});
  const at::Tensor padded = at::replication_pad1d(x, {radius, radius});
  return at::conv1d(padded.unsqueeze(1), weights).squeeze(1);
}

SpectrumSlice slice(const SpectrumFile& file, const at::Tensor& values, double step) {
  SpectrumSlice result;
  result.name = file.source;
  for (int64_t i = 0; i < values.size(0); ++i) {
    result.frequencies.push_back(static_cast<double>(i) * step);
    result.decibels.push_back(values[i].item<double>());
  }
  return result;
}

void put_slices(std::FILE* out, const std::vector<SpectrumSlice>& slices, int angle) {
  for (const SpectrumSlice& s : slices)
    for (size_t i = 0; i < s.frequencies.size(); ++i)
      fmt::print(out, "\"{}\",{},{:.6g},{:.4f}\n", s.name, angle, s.frequencies[i], s.decibels[i]);
}

}  // namespace

at::Tensor spectrum_decibels(const SpectrumFile& file, double smooth) {
  const int64_t size = file.spectrum.size(0);
  at::Tensor x = file.spectrum.clamp_min(kLeastPower).log10() * 10;
  x = at::roll(x, {size / 2, size / 2}, {0, 1});
  x = at::cat({x, x.narrow(0, 0, 1)}, 0);
  x = at::cat({x, x.narrow(1, 0, 1)}, 1);
  if (smooth <= 0) return x.contiguous();
  const double deviation = smooth * static_cast<double>(file.setup.interp);
  return blur_rows(blur_rows(x, deviation).t().contiguous(), deviation).t().contiguous();
}

SpectrumSlice horizontal_slice(const SpectrumFile& file, const at::Tensor& decibels) {
  const int64_t centre = decibels.size(0) / 2;
  return slice(file, decibels[centre].slice(0, centre), 1 / static_cast<double>(file.setup.interp));
}

SpectrumSlice diagonal_slice(const SpectrumFile& file, const at::Tensor& decibels) {
  const int64_t centre = decibels.size(0) / 2;
  return slice(file, decibels.diagonal().slice(0, centre),
               std::numbers::sqrt2 / static_cast<double>(file.setup.interp));
}

void write_heatmap_csv(const std::string& path, const at::Tensor& decibels) {
  io::OutputFile out(path);
  const at::Tensor upwards = decibels.flip(0).contiguous();
  const double* value = upwards.const_data_ptr<double>();
  for (int64_t y = 0; y < upwards.size(0); ++y)
    for (int64_t x = 0; x < upwards.size(1); ++x)
      fmt::print(out.stream(), "{:.4f}{}", *value++, x + 1 < upwards.size(1) ? ',' : '\n');
  out.finish();
}

void write_slices_csv(const std::string& path, const std::vector<SpectrumSlice>& horizontal,
                      const std::vector<SpectrumSlice>& diagonal) {
  io::OutputFile out(path);
  fmt::print(out.stream(), "spectrum,angle,frequency,decibels\n");
  put_slices(out.stream(), horizontal, 0);
  put_slices(out.stream(), diagonal, 45);
  out.finish();
}

}  // namespace galette

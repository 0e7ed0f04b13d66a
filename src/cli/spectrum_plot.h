// SPDX-License-Identifier: Apache-2.0
// Spectra in decibels, as pictures and tables. Frequencies are in periods per image.
#pragma once

#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "cli/spectrum_file.h"

namespace galette {

/// 10 log10 P with frequency 0 in the middle: float64 [n + 1, n + 1] for a spectrum [n, n], whose
/// first row and column appear again at the other end. Blurred by a Gaussian with a deviation of
/// `smooth` frequencies of the images (0: none), the edges repeated.
at::Tensor spectrum_decibels(const SpectrumFile& file, double smooth);

/// Power along a line from frequency 0 outwards.
struct SpectrumSlice {
  std::string name;
  std::vector<double> frequencies;
  std::vector<double> decibels;
};
/// To the right, up to S/2; of spectrum_decibels().
SpectrumSlice horizontal_slice(const SpectrumFile& file, const at::Tensor& decibels);
/// To the corner, up to S/sqrt(2).
SpectrumSlice diagonal_slice(const SpectrumFile& file, const at::Tensor& decibels);

/// Colours for -40 to 20 dB in steps of 5, pale to dark, low frequencies in the middle and positive
/// ones right and up.
void write_heatmap_png(const std::string& path, const at::Tensor& decibels);
/// The same with axes and a scale.
void write_heatmap_svg(const std::string& path, const SpectrumFile& file,
                       const at::Tensor& decibels);
/// A line per row, from the top.
void write_heatmap_csv(const std::string& path, const at::Tensor& decibels);

/// Two diagrams from -50 to 30 dB: the horizontal slices of several spectra, and the diagonal ones.
void write_slices_svg(const std::string& path, const std::vector<SpectrumSlice>& horizontal,
                      const std::vector<SpectrumSlice>& diagonal);
/// Columns spectrum, angle in degrees, frequency, decibels.
void write_slices_csv(const std::string& path, const std::vector<SpectrumSlice>& horizontal,
                      const std::vector<SpectrumSlice>& diagonal);

}  // namespace galette

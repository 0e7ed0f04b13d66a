// SPDX-License-Identifier: Apache-2.0
// Average power spectra in HDF5 files.
//
//   /spectrum         float64 [interp S, interp S], frequency 0 first, as numpy.fft.fft2 orders
//   them root attributes   format = galette-spectrum, format_version, image_size = S, interp, beta,
//   mean,
//                     std, num (images), seed, source (name of a file)
#pragma once

#include <string>

#include <ATen/ATen.h>

#include "metrics/power_spectrum.h"

namespace galette {

struct SpectrumFile {
  SpectrumSetup setup;
  int64_t num = 0;
  int64_t seed = 0;
  std::string source;
  at::Tensor spectrum;
};

/// By way of `path`.tmp and a rename. Throws InputError when the place is not writable.
void write_spectrum(const std::string& path, const SpectrumFile& file);

/// Throws InputError naming the file when it is missing or no spectrum.
SpectrumFile read_spectrum(const std::string& path);

}  // namespace galette

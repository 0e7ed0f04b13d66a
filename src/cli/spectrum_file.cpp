// SPDX-License-Identifier: Apache-2.0
#include "cli/spectrum_file.h"

#include <fmt/format.h>

#include "io/check.h"
#include "io/durable.h"
#include "io/hdf5.h"

namespace galette {
namespace {

constexpr const char* kFormat = "galette-spectrum";
constexpr int64_t kVersion = 1;

}  // namespace

void write_spectrum(const std::string& path, const SpectrumFile& file) {
  io::TemporaryFile temporary(path + ".tmp");
  io::H5File h5 = io::H5File::create(temporary.path());
  h5.write("spectrum", file.spectrum);
  h5.set_attribute("/", "format", kFormat);
  h5.set_attribute("/", "format_version", kVersion);
  h5.set_attribute("/", "image_size", file.setup.image_size);
  h5.set_attribute("/", "interp", file.setup.interp);
  h5.set_attribute("/", "beta", file.setup.beta);
  h5.set_attribute("/", "mean", file.setup.mean);
  h5.set_attribute("/", "std", file.setup.std);
  h5.set_attribute("/", "num", file.num);
  h5.set_attribute("/", "seed", file.seed);
  h5.set_attribute("/", "source", file.source);
  h5.close();
  io::replace_durably(temporary.path(), path);
  temporary.keep();
}

SpectrumFile read_spectrum(const std::string& path) {
  const io::H5File h5 = io::H5File::open(path);
  if (!h5.has_attribute("/", "format") || h5.string_attribute("/", "format") != kFormat)
    throw InputError(
        fmt::format("{}: is no spectrum; give a file that `galette spectra calc` wrote", path));
  if (h5.int_attribute("/", "format_version") > kVersion)
    throw InputError(fmt::format("{}: was written by a newer version of galette", path));
  SpectrumFile file;
  file.setup = {h5.int_attribute("/", "image_size"), h5.double_attribute("/", "mean"),
                h5.double_attribute("/", "std"), h5.double_attribute("/", "beta"),
                h5.int_attribute("/", "interp")};
  file.num = h5.int_attribute("/", "num");
  file.seed = h5.int_attribute("/", "seed");
  file.source = h5.string_attribute("/", "source");
  file.spectrum = h5.read("spectrum");
  const int64_t size = file.setup.image_size * file.setup.interp;
  if (size < 1 || file.spectrum.sizes() != at::IntArrayRef({size, size}))
    throw InputError(fmt::format("{}: its spectrum has another size than it says", path));
  return file;
}

}  // namespace galette

// SPDX-License-Identifier: Apache-2.0
// `galette spectra`: spectra of datasets and networks, the same on any number of ranks, and what is
// drawn of them.
#include <filesystem>
#include <regex>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/spectrum_plot.h"
#include "io/file_util.h"
#include "io/image_codec.h"
#include "io/legacy_random.h"
#include "tests/cli/program.h"
#include "tests/cli/tiny_networks.h"
#include "tests/support/temp_dir.h"

namespace galette::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

/// Spectrum with power 10^(u / 10) at frequency (0, u) of 4 x 4 images, and 1 elsewhere.
SpectrumFile ramp() {
  SpectrumFile file;
  file.setup = {.image_size = 4, .interp = 2};
  file.source = "ramp";
  file.spectrum = at::ones({8, 8}, at::kDouble);
  for (int u = 0; u < 8; ++u) file.spectrum[0][u] = std::pow(10.0, u / 10.0);
  return file;
}

TEST(SpectrumPlot, FrequencyZeroIsInTheMiddle) {
  const SpectrumFile file = ramp();
  const at::Tensor decibels = spectrum_decibels(file, 0);
  ASSERT_EQ(decibels.sizes(), at::IntArrayRef({9, 9}));
  const double row[] = {4, 5, 6, 7, 0, 1, 2, 3, 4};
  for (int x = 0; x < 9; ++x) EXPECT_NEAR(decibels[4][x].item<double>(), row[x], 1e-12);
  EXPECT_NEAR(decibels[3].abs().sum().item<double>(), 0, 1e-12);
  const SpectrumSlice right = horizontal_slice(file, decibels);
  EXPECT_THAT(right.frequencies, ::testing::ElementsAre(0, 0.5, 1, 1.5, 2));
  EXPECT_NEAR(right.decibels[4], 4, 1e-12);
  const SpectrumSlice corner = diagonal_slice(file, decibels);
  EXPECT_NEAR(corner.frequencies[4], 2 * std::sqrt(2.0), 1e-12);
  // A blur keeps flat parts and sums.
  const at::Tensor blurred = spectrum_decibels(file, 0.25);
  EXPECT_GT(blurred[3][3].item<double>(), 0.1);
  EXPECT_NEAR(blurred.slice(0, 2, 7).sum().item<double>(), decibels.sum().item<double>(), 0.05);
}

class Spectra : public ::testing::Test {
 protected:
  std::string run(int ranks, const std::string& arguments) {
    const Outcome o = run_program(ranks, "spectra " + arguments);
    EXPECT_EQ(o.code, 0) << o.err;
    EXPECT_EQ(o.err, "");
    return o.out;
  }
  /// A dataset of noise in a folder of pictures.
  std::string make_dataset() {
    io::LegacyRandom random(1);
    fs::create_directories(dir_.file("pictures"));
    for (int k = 0; k < 10; ++k) {
      io::Image image(16, 16, 3);
      for (uint8_t& value : image.pixels) value = static_cast<uint8_t>(random.up_to(255));
      io::write_png(dir_.file("pictures/" + std::to_string(k) + ".png"), image);
    }
    const Outcome o = run_program(
        1, "dataset --source=" + dir_.file("pictures") + " --dest=" + dir_.file("data.h5"));
    EXPECT_EQ(o.code, 0) << o.err;
    return dir_.file("data.h5");
  }
  std::string text(const std::string& name) const {
    const auto bytes = io::read_file(dir_.file(name));
    return {bytes.begin(), bytes.end()};
  }

  TempDir dir_;
};

TEST_F(Spectra, DatasetOfNoiseIsFlat) {
  const std::string data = make_dataset();
  const std::string values = run(2, "stats --source=" + data);
  std::smatch match;
  ASSERT_TRUE(std::regex_search(values, match, std::regex("--mean=([0-9.]+) --std=([0-9.]+)")));
  // Uniform bytes, 7680 of them: 127.5 and 73.9 with deviations of 0.84 and 0.4.
  EXPECT_NEAR(std::stod(match[1]), 127.5, 4);
  EXPECT_NEAR(std::stod(match[2]), 73.9, 2);
  const std::string calc = "calc --source=" + data + " --dest=" + dir_.file("s.h5") + " " +
                           values.substr(0, values.find('\n'));
  run(1, calc);
  const at::Tensor one = read_spectrum(dir_.file("s.h5")).spectrum;
  EXPECT_NEAR(one.mean().item<double>(), 1, 0.1);
  run(3, calc + " --force");
  const SpectrumFile three = read_spectrum(dir_.file("s.h5"));
  // Only the order of a sum of ten differs.
  EXPECT_LT(((three.spectrum - one) / one).abs().max().item<double>(), 1e-12);
  EXPECT_EQ(three.num, 10);
  EXPECT_EQ(three.setup.image_size, 16);
}

TEST_F(Spectra, NetworksAndPictures) {
  const std::string network = write_tiny_network(dir_.file("n.h5"), kCreps, {{"c_dim", 3}});
  const std::string calc = "calc --mean=127 --std=60 --interp=2 --num=4 --source=" + network;
  run(2, calc + " --dest=" + dir_.file("a.h5"));
  run(1, calc + " --seed=9 --dest=" + dir_.file("b.h5"));
  EXPECT_FALSE(at::equal(read_spectrum(dir_.file("a.h5")).spectrum,
                         read_spectrum(dir_.file("b.h5")).spectrum));
  run(1, "heatmap " + dir_.file("a.h5") + " --save=" + dir_.file("h.svg"));
  EXPECT_THAT(text("h.svg"),
              AllOf(StartsWith("<svg "), HasSubstr("n.h5"), HasSubstr("base64,iVBO")));
  const at::Tensor decibels = spectrum_decibels(read_spectrum(dir_.file("a.h5")), 1.25);
  write_heatmap_png(dir_.file("h.png"), decibels);
  const io::Image map = io::decode_image(io::read_file(dir_.file("h.png")), "h.png");
  EXPECT_EQ(map.shape(), (io::ImageShape{768, 768, 3}));
  write_heatmap_csv(dir_.file("h.csv"), decibels);
  const std::string rows = text("h.csv");
  EXPECT_EQ(std::count(rows.begin(), rows.end(), '\n'), 33);
  const std::string both = "slices " + dir_.file("a.h5") + " " + dir_.file("b.h5") + " --save=";
  run(2, both + dir_.file("s.csv"));
  const std::string table = text("s.csv");
  EXPECT_THAT(table, StartsWith("spectrum,angle,frequency,decibels\n\"n.h5\",0,0,"));
  // Two spectra, two angles, 17 frequencies each.
  EXPECT_EQ(std::count(table.begin(), table.end(), '\n'), 1 + 2 * 2 * 17);
}

TEST_F(Spectra, WrongInputIsToldInOneLine) {
  const std::string network = write_tiny_network(dir_.file("n.h5"));
  const auto complaint = [&](const std::string& arguments) {
    const Outcome o = run_program(1, "spectra " + arguments);
    EXPECT_EQ(o.code, 2) << o.out;
    EXPECT_EQ(o.complaints(), 1) << o.err;
    return o.complaint();
  };
  EXPECT_THAT(complaint("stats --source=" + network), HasSubstr("--num:"));
  EXPECT_THAT(complaint("heatmap " + network + " --save=" + dir_.file("x.png")),
              HasSubstr("n.h5: is no spectrum"));
  EXPECT_THAT(complaint("slices " + network + " --save=" + dir_.file("x.pdf")),
              HasSubstr("ends in .svg or .csv"));
  EXPECT_THAT(complaint("calc --source=" + network + " --num=1 --mean=0 --std=1 --dest=" + network),
              HasSubstr("n.h5: exists already"));
}

}  // namespace
}  // namespace galette::testing

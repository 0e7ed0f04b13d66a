// SPDX-License-Identifier: Apache-2.0
// The pictures of spectrum_plot.h. Lengths in SVG are its own units, 96 to an inch.
#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "cli/base64.h"
#include "cli/spectrum_plot.h"
#include "io/file_util.h"
#include "io/output_file.h"
#include "io/png_codec.h"

namespace galette {
namespace {

using Rgb = std::array<double, 3>;

constexpr double kLowest = -40, kBand = 5;
constexpr int kBands = 14;  // twelve from -40 to 20 dB, and what lies below and above
constexpr int64_t kLeastSide = 768;
constexpr Rgb kPale{246, 249, 252}, kMiddle{98, 160, 209}, kDark{9, 36, 86};
constexpr std::array<const char*, 8> kLineColors{"#1b6ca8", "#d1495b", "#2e933c", "#8f5bb5",
                                                 "#e08e1b", "#4d4d4d", "#17a2a2", "#a0522d"};

/// Of band 0 ... kBands - 1.
io::Color band_color(int band) {
  const double place = 2.0 * band / (kBands - 1);
  const Rgb& from = place < 1 ? kPale : kMiddle;
  const Rgb& to = place < 1 ? kMiddle : kDark;
  const double part = place < 1 ? place : place - 1;
  io::Color color{};
  for (size_t c = 0; c < 3; ++c)
    color[c] = static_cast<uint8_t>(std::lround(from[c] + part * (to[c] - from[c])));
  return color;
}

int band_of(double decibels) {
  return std::clamp(static_cast<int>(std::floor((decibels - kLowest) / kBand)) + 1, 0, kBands - 1);
}

/// Small maps are enlarged before they are cut into bands, so that the edges are smooth.
io::Image heatmap(const at::Tensor& decibels) {
  const int64_t side = std::max(decibels.size(0), kLeastSide);
  const at::Tensor x = at::upsample_bilinear2d(decibels.view({1, 1, decibels.size(0), -1}),
                                               {side, side}, /*align_corners=*/true)[0][0]
                           .flip(0)
                           .contiguous();
  const double* value = x.const_data_ptr<double>();
  io::Image image(static_cast<int>(side), static_cast<int>(side), 3);
  for (auto pixel = image.pixels.begin(); pixel != image.pixels.end(); pixel += 3)
    std::ranges::copy(band_color(band_of(*value++)), pixel);
  return image;
}

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '&')
      result += "&amp;";
    else if (c == '<')
      result += "&lt;";
    else
      result += c;
  }
  return result;
}

void begin_svg(std::FILE* out, int width, int height) {
  fmt::print(out,
             "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" "
             "viewBox=\"0 0 {0} {1}\" font-family=\"sans-serif\" font-size=\"13\">\n"
             "<rect width=\"{0}\" height=\"{1}\" fill=\"white\"/>\n",
             width, height);
}

/// `anchor`: start, middle or end of the text is at x.
void put_text(std::FILE* out, double x, double y, const char* anchor, const std::string& text) {
  fmt::print(out, "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor,
             escaped(text));
}

void put_line(std::FILE* out, double x0, double y0, double x1, double y1, const char* color) {
  fmt::print(out, "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\"/>\n",
             x0, y0, x1, y1, color);
}

/// A diagram of lines with its axes; frequencies 0 to `most` to the right, decibels upwards.
class Diagram {
 public:
  static constexpr double kBottom = -50, kTop = 30, kTick = 10;
  static constexpr double kWidth = 460, kHeight = 360;

  Diagram(std::FILE* out, double left, double top, double most)
      : out_(out), left_(left), top_(top), most_(most) {}

  void put_axes(const std::string& title) const {
    put_text(out_, left_ + kWidth / 2, top_ - 10, "middle", title);
    for (int tick = 0; kBottom + tick * kTick <= kTop; ++tick) {
      const double level = kBottom + tick * kTick;
      put_line(out_, left_, y(level), left_ + kWidth, y(level), "#dddddd");
      put_text(out_, left_ - 8, y(level) + 4, "end", fmt::format("{} dB", level));
    }
    for (int tick = 0; tick <= 4; ++tick) {
      const double frequency = most_ * tick / 4;
      put_line(out_, x(frequency), top_, x(frequency), top_ + kHeight, "#dddddd");
      put_text(out_, x(frequency), top_ + kHeight + 20, "middle", fmt::format("{:.4g}", frequency));
    }
    put_text(out_, left_ + kWidth / 2, top_ + kHeight + 40, "middle", "periods per image");
  }

  void put_slice(const SpectrumSlice& slice, const char* color) const {
    fmt::print(out_, "<polyline fill=\"none\" stroke-width=\"1.5\" stroke=\"{}\" points=\"", color);
    for (size_t i = 0; i < slice.frequencies.size(); ++i)
      fmt::print(out_, "{:.2f},{:.2f} ", x(slice.frequencies[i]),
                 y(std::clamp(slice.decibels[i], kBottom, kTop)));
    fmt::print(out_, "\"/>\n");
  }

 private:
  double x(double frequency) const { return left_ + kWidth * frequency / most_; }
  double y(double level) const { return top_ + kHeight * (kTop - level) / (kTop - kBottom); }

  std::FILE* out_;
  double left_, top_, most_;
};

const char* line_color(size_t number) {
  return kLineColors[number % kLineColors.size()];
}

void put_diagram(std::FILE* out, double left, const std::string& title,
                 const std::vector<SpectrumSlice>& slices) {
  const Diagram diagram(out, left, 40, slices[0].frequencies.back());
  diagram.put_axes(title);
  for (size_t k = 0; k < slices.size(); ++k) diagram.put_slice(slices[k], line_color(k));
}

/// The colours of the bands from below upwards, with the levels between them.
void put_scale(std::FILE* out, double left, double top, double height) {
  const double step = height / kBands;
  for (int band = 0; band < kBands; ++band) {
    const double y = top + height - step * (band + 1);
    const io::Color color = band_color(band);
    fmt::print(out,
               "<rect x=\"{:.1f}\" y=\"{:.2f}\" width=\"20\" height=\"{:.2f}\" "
               "fill=\"rgb({},{},{})\"/>\n",
               left, y, step, color[0], color[1], color[2]);
    if (band + 1 < kBands)
      put_text(out, left + 28, y + 4, "start", fmt::format("{} dB", kLowest + kBand * band));
  }
}

}  // namespace

void write_heatmap_png(const std::string& path, const at::Tensor& decibels) {
  io::write_png(path, heatmap(decibels));
}

void write_heatmap_svg(const std::string& path, const SpectrumFile& file,
                       const at::Tensor& decibels) {
  constexpr double kSide = 512, kLeft = 60, kTop = 40;
  io::OutputFile output(path);
  std::FILE* out = output.stream();
  begin_svg(out, 690, 620);
  put_text(out, kLeft + kSide / 2, kTop - 12, "middle", file.source);
  fmt::print(out,
             "<image x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" "
             "href=\"data:image/png;base64,{}\"/>\n",
             kLeft, kTop, kSide, kSide, base64(io::encode_png(heatmap(decibels))));
  for (int tick = -2; tick <= 2; ++tick) {
    const double frequency = static_cast<double>(file.setup.image_size) * tick / 4;
    const std::string text = fmt::format("{}", frequency);
    put_text(out, kLeft + kSide * (tick + 2) / 4, kTop + kSide + 18, "middle", text);
    put_text(out, kLeft - 8, kTop + kSide * (2 - tick) / 4 + 4, "end", text);
  }
  put_text(out, kLeft + kSide / 2, kTop + kSide + 40, "middle", "periods per image");
  put_scale(out, kLeft + kSide + 20, kTop, kSide);
  fmt::print(out, "</svg>\n");
  output.finish();
}

void write_slices_svg(const std::string& path, const std::vector<SpectrumSlice>& horizontal,
                      const std::vector<SpectrumSlice>& diagonal) {
  constexpr double kFirst = 70, kSecond = 620, kLegend = 480, kLegendLine = 20;
  io::OutputFile output(path);
  std::FILE* out = output.stream();
  const int height =
      static_cast<int>(kLegend + kLegendLine * static_cast<double>(horizontal.size()));
  begin_svg(out, 1110, height);
  put_diagram(out, kFirst, "0°", horizontal);
  put_diagram(out, kSecond, "45°", diagonal);
  for (size_t k = 0; k < horizontal.size(); ++k) {
    const double y = kLegend + kLegendLine * static_cast<double>(k);
    put_line(out, kFirst, y - 4, kFirst + 30, y - 4, line_color(k));
    put_text(out, kFirst + 40, y, "start", horizontal[k].name);
  }
  fmt::print(out, "</svg>\n");
  output.finish();
}

}  // namespace galette

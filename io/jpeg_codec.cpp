// SPDX-License-Identifier: Apache-2.0
// libjpeg reports errors by longjmp. So every function here that calls setjmp holds no object with
// a destructor; what must be freed lives in Reader, one frame further out.
#include "io/jpeg_codec.h"

#include <csetjmp>
#include <cstdio>  // before jpeglib.h, which needs FILE

#include <fmt/format.h>
#include <jpeglib.h>
// After jpeglib.h, on which it depends.
#include <jerror.h>

#include "io/check.h"

namespace galette::io {
namespace {

struct Reader {
  Reader();
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() { jpeg_destroy_decompress(&jpeg); }

  jpeg_decompress_struct jpeg{};
  jpeg_error_mgr errors{};
  std::jmp_buf on_error{};
  char message[JMSG_LENGTH_MAX] = "";
};

void jump_out(j_common_ptr jpeg) {
  auto& reader = *static_cast<Reader*>(jpeg->client_data);
  jpeg->err->format_message(jpeg, reader.message);
  std::longjmp(reader.on_error, 1);
}

/// libjpeg only warns about damaged pixels and fills them with grey; here they are errors.
bool is_damage(int code) {
  return code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER || code == JWRN_HUFF_BAD_CODE ||
         code == JWRN_ARITH_BAD_CODE || code == JWRN_MUST_RESYNC || code == JWRN_BOGUS_PROGRESSION;
}

void judge_warning(j_common_ptr jpeg, int level) {
  if (level < 0 && is_damage(jpeg->err->msg_code)) jump_out(jpeg);
}

void print_nothing(j_common_ptr) {}

Reader::Reader() {
  jpeg.err = jpeg_std_error(&errors);
  errors.error_exit = jump_out;
  errors.emit_message = judge_warning;
  errors.output_message = print_nothing;
  jpeg.client_data = this;
}

/// Reads up to the first pixel and chooses the conversion; false with a message on error.
bool read_header(Reader& reader, std::span<const uint8_t> bytes) {
  if (setjmp(reader.on_error) != 0) return false;
  jpeg_decompress_struct& jpeg = reader.jpeg;
  jpeg_create_decompress(&jpeg);
  jpeg.client_data = &reader;
  jpeg_mem_src(&jpeg, bytes.data(), bytes.size());
  jpeg_read_header(&jpeg, TRUE);
  const bool inks = jpeg.jpeg_color_space == JCS_CMYK || jpeg.jpeg_color_space == JCS_YCCK;
  const bool grey = jpeg.jpeg_color_space == JCS_GRAYSCALE;
  jpeg.out_color_space = inks ? JCS_CMYK : grey ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_calc_output_dimensions(&jpeg);
  return true;
}

bool read_pixels(Reader& reader, uint8_t* pixels, size_t stride) {
  if (setjmp(reader.on_error) != 0) return false;
  jpeg_start_decompress(&reader.jpeg);
  while (reader.jpeg.output_scanline < reader.jpeg.output_height) {
    JSAMPROW row = pixels + size_t(reader.jpeg.output_scanline) * stride;
    jpeg_read_scanlines(&reader.jpeg, &row, 1);
  }
  jpeg_finish_decompress(&reader.jpeg);
  return true;
}

/// Four inks to RGB. Files with Adobe's marker store them inverted: 255 is no ink.
Image inks_to_rgb(const Image& inks, bool inverted) {
  Image rgb(inks.width, inks.height, 3);
  const unsigned flip = inverted ? 0 : 255;
  for (size_t i = 0; i < rgb.pixels.size() / 3; ++i) {
    const uint8_t* in = inks.pixels.data() + 4 * i;
    const unsigned black = in[3] ^ flip;
    for (size_t c = 0; c < 3; ++c) {
      rgb.pixels[3 * i + c] = static_cast<uint8_t>(((in[c] ^ flip) * black + 127) / 255);
    }
  }
  return rgb;
}

[[noreturn]] void fail(const std::string& name, const Reader& reader) {
  throw InputError(fmt::format("{}: not a valid JPEG image: {}", name, reader.message));
}

}  // namespace

bool is_jpeg(std::span<const uint8_t> bytes) {
  return bytes.size() >= 3 && bytes[0] == 0xFF && bytes[1] == 0xD8 && bytes[2] == 0xFF;
}

ImageExtent jpeg_extent(std::span<const uint8_t> bytes, const std::string& name) {
  Reader reader;
  if (!read_header(reader, bytes)) fail(name, reader);
  return {int(reader.jpeg.output_width), int(reader.jpeg.output_height)};
}

Image decode_jpeg(std::span<const uint8_t> bytes, const std::string& name) {
  Reader reader;
  if (!read_header(reader, bytes)) fail(name, reader);
  Image image(int(reader.jpeg.output_width), int(reader.jpeg.output_height),
              reader.jpeg.out_color_components);
  if (!read_pixels(reader, image.pixels.data(), image.stride())) fail(name, reader);
  if (reader.jpeg.out_color_space != JCS_CMYK) return image;
  return inks_to_rgb(image, reader.jpeg.saw_Adobe_marker);
}

}  // namespace galette::io

// SPDX-License-Identifier: Apache-2.0
// libpng reports errors by longjmp. So every function here that calls setjmp holds no object with a
// destructor; what must be freed lives one frame further out, in PngWriter.
#include <array>
#include <cerrno>
#include <csetjmp>
#include <cstring>
#include <vector>

#include <fmt/format.h>
#include <png.h>

#include "io/output_file.h"
#include "io/picture_writer.h"

namespace galette::io {
namespace {

void keep_message(png_structp png, png_const_charp text) {
  *static_cast<std::string*>(png_get_error_ptr(png)) = text;
  png_longjmp(png, 1);
}

void ignore_warning(png_structp, png_const_charp) {}

void put_bytes(png_structp png, png_bytep data, size_t count) {
  auto* stream = static_cast<std::FILE*>(png_get_io_ptr(png));
  if (std::fwrite(data, 1, count, stream) != count) png_error(png, std::strerror(errno));
}

void ignore_flush(png_structp) {}

struct Handles {
  Handles() = default;
  Handles(const Handles&) = delete;
  Handles& operator=(const Handles&) = delete;
  ~Handles() { png_destroy_write_struct(&png, &info); }
  png_structp png = nullptr;
  png_infop info = nullptr;
};

class PngWriter final : public PictureWriter {
 public:
  PngWriter(const std::string& path, const PictureLayout& layout, int bits)
      : file_(path), layout_(layout), bits_(bits) {
    h_.png =
        png_create_write_struct(PNG_LIBPNG_VER_STRING, &message_, keep_message, ignore_warning);
    if (h_.png != nullptr) h_.info = png_create_info_struct(h_.png);
    if (h_.info == nullptr) throw std::runtime_error("libpng cannot start: out of memory");
    if (!write_header()) fail();
  }

  void write(const at::Tensor& rows) override {
    const int32_t* values = rows.const_data_ptr<int32_t>();
    const auto per_row = static_cast<size_t>(layout_.width * layout_.channels);
    for (int64_t y = 0; y < rows.size(0); ++y, values += per_row) {
      pack(values, per_row);
      if (!write_row(row_.data())) fail();
    }
  }

  void finish() override {
    if (!write_end()) fail();
    file_.finish();
  }

 private:
  [[noreturn]] void fail() const {
    throw std::runtime_error(fmt::format("{}: cannot be written: {}", file_.path(), message_));
  }

  /// Samples of 16 bits have their high byte first.
  void pack(const int32_t* values, size_t count) {
    row_.clear();
    for (size_t i = 0; i < count; ++i) {
      if (bits_ == 16) row_.push_back(static_cast<uint8_t>(values[i] >> 8));
      row_.push_back(static_cast<uint8_t>(values[i]));
    }
  }

  bool write_header() {
    constexpr std::array<int, 4> kTypes{PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA,
                                        PNG_COLOR_TYPE_RGB, PNG_COLOR_TYPE_RGB_ALPHA};
    if (setjmp(png_jmpbuf(h_.png)) != 0) return false;
    png_set_write_fn(h_.png, file_.stream(), put_bytes, ignore_flush);
    png_set_user_limits(h_.png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_IHDR(h_.png, h_.info, static_cast<png_uint_32>(layout_.width),
                 static_cast<png_uint_32>(layout_.height), bits_,
                 kTypes[static_cast<size_t>(layout_.channels) - 1], PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(h_.png, h_.info);
    return true;
  }
  bool write_row(const uint8_t* row) {
    if (setjmp(png_jmpbuf(h_.png)) != 0) return false;
    png_write_row(h_.png, row);
    return true;
  }
  bool write_end() {
    if (setjmp(png_jmpbuf(h_.png)) != 0) return false;
    png_write_end(h_.png, h_.info);
    return true;
  }

  OutputFile file_;
  PictureLayout layout_;
  int bits_;
  std::string message_;
  Handles h_;
  std::vector<uint8_t> row_;
};

}  // namespace

std::unique_ptr<PictureWriter> open_png_picture(const std::string& path,
                                                const PictureLayout& layout, int bits) {
  return std::make_unique<PngWriter>(path, layout, bits);
}

}  // namespace galette::io

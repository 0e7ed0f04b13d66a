// SPDX-License-Identifier: Apache-2.0
// libjpeg reports errors by longjmp. So every function here that calls setjmp holds no object with
// a destructor; what must be freed lives one frame further out, in JpegWriter.
#include <algorithm>
#include <csetjmp>
#include <cstdio>  // before jpeglib.h, which needs FILE
#include <vector>

#include <fmt/format.h>
#include <jpeglib.h>

#include "io/output_file.h"
#include "io/picture_writer.h"

namespace galette::io {
namespace {

struct Compressor : jpeg_compress_struct {
  Compressor() : jpeg_compress_struct{} {}
  Compressor(const Compressor&) = delete;
  Compressor& operator=(const Compressor&) = delete;
  ~Compressor() { jpeg_destroy_compress(this); }
};

class JpegWriter final : public PictureWriter {
 public:
  JpegWriter(const std::string& path, const PictureLayout& layout, int quality)
      : file_(path), layout_(layout), quality_(quality) {
    jpeg_.err = jpeg_std_error(&errors_);
    errors_.error_exit = jump_out;
    errors_.output_message = [](j_common_ptr) {};
    if (!write_header()) fail();
  }

  void write(const at::Tensor& rows) override {
    const int32_t* values = rows.const_data_ptr<int32_t>();
    row_.resize(static_cast<size_t>(layout_.width * layout_.channels));
    for (int64_t y = 0; y < rows.size(0); ++y, values += row_.size()) {
      std::transform(values, values + row_.size(), row_.begin(),
                     [](int32_t value) { return static_cast<uint8_t>(value); });
      if (!write_row(row_.data())) fail();
    }
  }

  void finish() override {
    if (!write_end()) fail();
    file_.finish();
  }

 private:
  [[noreturn]] void fail() const {
    throw std::runtime_error(
        fmt::format("{}: cannot be written: {}", file_.path(), std::string(message_)));
  }

  static void jump_out(j_common_ptr jpeg) {
    auto& writer = *static_cast<JpegWriter*>(jpeg->client_data);
    jpeg->err->format_message(jpeg, writer.message_);
    std::longjmp(writer.on_error_, 1);
  }

  bool write_header() {
    if (setjmp(on_error_) != 0) return false;
    jpeg_.client_data = this;
    jpeg_create_compress(&jpeg_);
    jpeg_.client_data = this;
    jpeg_stdio_dest(&jpeg_, file_.stream());
    jpeg_.image_width = static_cast<JDIMENSION>(layout_.width);
    jpeg_.image_height = static_cast<JDIMENSION>(layout_.height);
    jpeg_.input_components = static_cast<int>(layout_.channels);
    jpeg_.in_color_space = layout_.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&jpeg_);
    jpeg_set_quality(&jpeg_, quality_, TRUE);
    // Colours at full resolution: generated images are small, and their details matter.
    jpeg_.comp_info[0].h_samp_factor = jpeg_.comp_info[0].v_samp_factor = 1;
    jpeg_start_compress(&jpeg_, TRUE);
    return true;
  }
  bool write_row(uint8_t* row) {
    if (setjmp(on_error_) != 0) return false;
    jpeg_write_scanlines(&jpeg_, &row, 1);
    return true;
  }
  bool write_end() {
    if (setjmp(on_error_) != 0) return false;
    jpeg_finish_compress(&jpeg_);
    return true;
  }

  OutputFile file_;
  PictureLayout layout_;
  jpeg_error_mgr errors_{};
  Compressor jpeg_;
  std::jmp_buf on_error_{};
  char message_[JMSG_LENGTH_MAX] = "";
  int quality_;
  std::vector<uint8_t> row_;
};

}  // namespace

std::unique_ptr<PictureWriter> open_jpeg_picture(const std::string& path,
                                                 const PictureLayout& layout, int quality) {
  return std::make_unique<JpegWriter>(path, layout, quality);
}

}  // namespace galette::io

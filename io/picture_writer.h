// SPDX-License-Identifier: Apache-2.0
// Pictures that are written row by row, so that one of any size needs the memory of a few rows.
// Channels: 1 grey, 2 grey + alpha, 3 RGB, 4 RGB + alpha; JPEG takes 1 or 3.
#pragma once

#include <memory>
#include <string>

#include <ATen/ATen.h>

namespace galette::io {

enum class PictureFormat { png8, png16, jpeg };

/// "png", "png" and "jpg".
const char* picture_suffix(PictureFormat format);
/// The largest value of a channel: 255, or 65535 with 16 bits.
int picture_maximum(PictureFormat format);

struct PictureLayout {
  int64_t width = 0;
  int64_t height = 0;
  int64_t channels = 0;
};

class PictureWriter {
 public:
  virtual ~PictureWriter() = default;
  /// The next rows from the top: int32 [rows, width, channels], contiguous on the CPU, with values
  /// from 0 to the format's maximum.
  virtual void write(const at::Tensor& rows) = 0;
  /// After the last row: gives the file its name. Without it no file is left.
  virtual void finish() = 0;
};

/// Throws InputError when the place is not writable, or the format cannot hold the picture;
/// the writer throws std::runtime_error with the reason when writing fails.
std::unique_ptr<PictureWriter> open_picture(const std::string& path, PictureFormat format,
                                            const PictureLayout& layout);

/// The two implementations, which open_picture calls. JPEG has a `quality` of 1 to 100.
std::unique_ptr<PictureWriter> open_png_picture(const std::string& path,
                                                const PictureLayout& layout, int bits);
std::unique_ptr<PictureWriter> open_jpeg_picture(const std::string& path,
                                                 const PictureLayout& layout, int quality = 95);

}  // namespace galette::io

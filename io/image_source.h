// SPDX-License-Identifier: Apache-2.0
// Where a dataset's images come from: a folder or a ZIP archive of PNG and JPEG files, the colour
// bitmaps of a font, an IDX file such as those of MNIST, or the archive of CIFAR-10. Images are
// counted in bytewise order of their names (fonts: by glyph; IDX, CIFAR-10: as stored). An object
// serves one thread; ranks open their own.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "io/image_codec.h"
#include "io/image_labels.h"

namespace galette::io {

class ImageSource {
 public:
  virtual ~ImageSource() = default;
  /// "folder", "zip", "font", "idx" or "cifar10".
  virtual std::string kind() const = 0;
  virtual int64_t size() const = 0;
  /// Name of an image relative to the source.
  virtual std::string name(int64_t index) const = 0;
  /// Size of an image without decoding it.
  virtual ImageExtent extent(int64_t index) = 0;
  /// The image in grey or RGB. Throws InputError naming it when it cannot be decoded.
  virtual Image load(int64_t index) = 0;
  virtual ImageLabel label(int64_t index) const = 0;
};

/// Opens `path`: a directory, *.zip, *.ttf, *.otf, *-images-idx3-ubyte[.gz] or
/// cifar-10-python.tar.gz. Transparent images are laid over `background`; without one those of
/// folders and archives are refused, and those of fonts are laid over white. Throws InputError when
/// the path is missing, of another kind, or holds no image.
std::unique_ptr<ImageSource> open_image_source(const std::string& path,
                                               const std::optional<Color>& background);

/// Parses "white", "black" or "R,G,B" with values 0..255; throws InputError otherwise.
Color parse_color(const std::string& text);

/// The implementations; callers use open_image_source.
std::unique_ptr<ImageSource> open_encoded_source(const std::string& path,
                                                 const std::optional<Color>& background);
std::unique_ptr<ImageSource> open_font_source(const std::string& path, const Color& background);
std::unique_ptr<ImageSource> open_idx_source(const std::string& path);
std::unique_ptr<ImageSource> open_cifar_source(const std::string& path);
bool is_idx_name(const std::string& path);
bool is_cifar_name(const std::string& path);

}  // namespace galette::io

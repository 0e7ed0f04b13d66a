// SPDX-License-Identifier: Apache-2.0
// The colour bitmaps of a font, such as an emoji font: each glyph that has one, laid over the
// background and centred on a square.
#include <ft2build.h>
#include FT_FREETYPE_H

#include <algorithm>

#include <fmt/format.h>

#include "io/check.h"
#include "io/image_source.h"

namespace galette::io {
namespace {

struct Release {
  void operator()(FT_Library library) const { FT_Done_FreeType(library); }
  void operator()(FT_Face face) const { FT_Done_Face(face); }
};
using Library = std::unique_ptr<FT_LibraryRec_, Release>;
using Face = std::unique_ptr<FT_FaceRec_, Release>;

Library start_freetype() {
  FT_Library library = nullptr;
  if (const FT_Error code = FT_Init_FreeType(&library)) {
    throw std::runtime_error(fmt::format("FreeType cannot start: error {}", code));
  }
  return Library(library);
}

Face open_face(FT_Library library, const std::string& path) {
  FT_Face face = nullptr;
  if (const FT_Error code = FT_New_Face(library, path.c_str(), 0, &face)) {
    throw InputError(fmt::format("{}: not a readable font (FreeType error {})", path, code));
  }
  return Face(face);
}

int largest_strike(FT_Face face) {
  const FT_Bitmap_Size* sizes = face->available_sizes;
  const auto smaller = [](const auto& a, const auto& b) { return a.height < b.height; };
  return int(std::max_element(sizes, sizes + face->num_fixed_sizes, smaller) - sizes);
}

/// A bitmap of premultiplied blue, green, red, alpha over a background, centred on a square.
Image over_background(const FT_Bitmap& bitmap, const Color& background) {
  const int side = int(std::max(bitmap.width, bitmap.rows));
  Image image(side, side, 3);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = background[i % 3];
  const int left = (side - int(bitmap.width)) / 2, top = (side - int(bitmap.rows)) / 2;
  for (int y = 0; y < int(bitmap.rows); ++y) {
    const uint8_t* in = bitmap.buffer + ptrdiff_t(y) * bitmap.pitch;
    uint8_t* out = image.row(top + y) + 3 * left;
    for (unsigned x = 0; x < bitmap.width; ++x, in += 4, out += 3) {
      const unsigned clear = 255u - in[3];
      for (size_t c = 0; c < 3; ++c) {
        const unsigned behind = (background[c] * clear + 127) / 255;
        out[c] = static_cast<uint8_t>(std::min(in[2 - c] + behind, 255u));
      }
    }
  }
  return image;
}

class FontSource : public ImageSource {
 public:
  FontSource(std::string path, const Color& background)
      : path_(std::move(path)),
        background_(background),
        library_(start_freetype()),
        face_(open_face(library_.get(), path_)) {
    FT_Face face = face_.get();
    if (!FT_HAS_COLOR(face) || face->num_fixed_sizes == 0) return;
    if (FT_Select_Size(face, largest_strike(face)) != 0) fail("its bitmaps cannot be chosen");
    for (FT_Long glyph = 0; glyph < face->num_glyphs; ++glyph) {
      if (has_bitmap(FT_UInt(glyph))) glyphs_.push_back(FT_UInt(glyph));
    }
  }

  std::string kind() const override { return "font"; }
  int64_t size() const override { return int64_t(glyphs_.size()); }

  std::string name(int64_t index) const override {
    const FT_UInt glyph = glyphs_.at(size_t(index));
    char text[128] = "";
    if (FT_HAS_GLYPH_NAMES(face_.get()) &&
        FT_Get_Glyph_Name(face_.get(), glyph, text, sizeof text) == 0 && text[0] != '\0') {
      return text;
    }
    return fmt::format("glyph{:05d}", glyph);
  }

  ImageExtent extent(int64_t index) override {
    const FT_Bitmap& bitmap = load_glyph(index, FT_LOAD_BITMAP_METRICS_ONLY);
    const int side = int(std::max(bitmap.width, bitmap.rows));
    return {side, side};
  }

  Image load(int64_t index) override { return over_background(load_glyph(index, 0), background_); }
  ImageLabel label(int64_t) const override { return {}; }

 private:
  bool has_bitmap(FT_UInt glyph) {
    const FT_Int32 flags = FT_LOAD_COLOR | FT_LOAD_BITMAP_METRICS_ONLY;
    if (FT_Load_Glyph(face_.get(), glyph, flags) != 0) return false;
    const FT_GlyphSlot slot = face_->glyph;
    return slot->format == FT_GLYPH_FORMAT_BITMAP && slot->bitmap.width > 0 &&
           slot->bitmap.pixel_mode == FT_PIXEL_MODE_BGRA;
  }

  const FT_Bitmap& load_glyph(int64_t index, FT_Int32 flags) {
    if (FT_Load_Glyph(face_.get(), glyphs_.at(size_t(index)), FT_LOAD_COLOR | flags) != 0) {
      fail(fmt::format("the bitmap of {} cannot be decoded", name(index)));
    }
    return face_->glyph->bitmap;
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw InputError(fmt::format("{}: {}", path_, what));
  }

  std::string path_;
  Color background_;
  Library library_;
  Face face_;
  std::vector<FT_UInt> glyphs_;
};

}  // namespace

std::unique_ptr<ImageSource> open_font_source(const std::string& path, const Color& background) {
  return std::make_unique<FontSource>(path, background);
}

}  // namespace galette::io

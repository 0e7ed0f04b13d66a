// SPDX-License-Identifier: Apache-2.0
// H.264 in an MP4 file, encoded by x264 through the FFmpeg libraries: 4:2:0, BT.709, limited range,
// which every player shows. Sides are even there: an odd one gets one more column or row, a copy of
// its neighbour. The same frames give the same file, whatever number of cores encodes them. Written
// under the name `path`.tmp; the file gets its own name when it is complete.
#pragma once

#include <memory>
#include <string>

#include "io/image.h"

namespace galette::io {

struct VideoLayout {
  int width = 0;
  int height = 0;
  int frames_per_second = 60;
  double megabits_per_second = 12;
};

class VideoWriter {
 public:
  /// Throws InputError when the place is not writable or the sides are beyond what H.264 takes, and
  /// std::runtime_error when there is no x264, or it fails.
  VideoWriter(std::string path, const VideoLayout& layout);
  ~VideoWriter();

  /// The next frame, grey or RGB, of the layout's size.
  void write(const Image& frame);
  /// After the last frame: gives the file its name. Without it no file is left.
  void finish();

 private:
  class Encoder;
  std::unique_ptr<Encoder> encoder_;
};

}  // namespace galette::io

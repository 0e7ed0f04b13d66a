// SPDX-License-Identifier: Apache-2.0
// The frames of a video, made by all ranks and encoded by one.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/image_maker.h"
#include "cli/latents.h"
#include "cli/loop_spline.h"
#include "cli/video_plan.h"
#include "io/image.h"
#include "io/video_writer.h"
#include "parallel/mpi_communicator.h"

namespace galette {

/// Frames of a grid of cells, each of which goes smoothly through the w of its seeds and back to
/// the first. A frame is a pure function of its number.
class VideoFrames {
 public:
  /// Throws InputError as ImageMaker does, and when a zoom is asked of another network than CREPS.
  VideoFrames(Generator& g, const LatentSource& latents, const VideoPlan& plan,
              const ImageRequest& request, const std::optional<Zoom>& zoom);

  /// Of a whole frame, grey or RGB.
  io::ImageShape shape() const;
  /// Transparent networks are laid over white.
  io::Image make(int64_t frame) const;

 private:
  Generator& g_;
  VideoPlan plan_;
  ImageRequest request_;
  std::optional<Zoom> zoom_;
  io::PictureLayout cell_;
  std::vector<LoopSpline> paths_;  ///< of w, per cell
};

/// Frames `make(0)` ... are dealt to the ranks in turn; rank 0 encodes them in their order, and a
/// rank makes its next frame when rank 0 has taken the last, so that each holds one at a time.
/// Shows progress. Throws as VideoWriter. Collective.
void write_video(const std::string& path, const io::VideoLayout& layout, int64_t frames,
                 const io::ImageShape& shape, const std::function<io::Image(int64_t)>& make,
                 MpiCommunicator& comm);

}  // namespace galette

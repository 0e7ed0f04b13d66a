// SPDX-License-Identifier: Apache-2.0
// All frames of a video file, decoded by the FFmpeg libraries, to compare with what was written.
#pragma once

#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include "io/image.h"

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libswscale/swscale.h>
}

namespace galette::testing {

struct Video {
  std::vector<io::Image> frames;  ///< RGB
  std::string codec;
  double frames_per_second = 0;
};

/// A decoder of the first stream of a file; what fails throws std::runtime_error.
class VideoReader {
 public:
  explicit VideoReader(const std::string& path) {
    require(avformat_open_input(&file_, path.c_str(), nullptr, nullptr) >= 0, "open");
    require(avformat_find_stream_info(file_, nullptr) >= 0, "stream");
    const AVCodecParameters* parameters = file_->streams[0]->codecpar;
    const AVCodec* codec = avcodec_find_decoder(parameters->codec_id);
    require(codec != nullptr, "codec");
    codec_ = avcodec_alloc_context3(codec);
    require(avcodec_parameters_to_context(codec_, parameters) >= 0, "parameters");
    require(avcodec_open2(codec_, codec, nullptr) >= 0, "decoder");
    video_.codec = codec->name;
    video_.frames_per_second = av_q2d(file_->streams[0]->avg_frame_rate);
  }
  VideoReader(const VideoReader&) = delete;
  VideoReader& operator=(const VideoReader&) = delete;
  ~VideoReader() {
    avcodec_free_context(&codec_);
    avformat_close_input(&file_);
  }

  Video read() {
    AVPacket* packet = av_packet_alloc();
    while (av_read_frame(file_, packet) >= 0) {
      require(avcodec_send_packet(codec_, packet) >= 0, "packet");
      av_packet_unref(packet);
      take_frames();
    }
    av_packet_free(&packet);
    avcodec_send_packet(codec_, nullptr);
    take_frames();
    return video_;
  }

 private:
  static void require(bool ok, const char* what) {
    if (!ok) throw std::runtime_error(std::string("video: ") + what);
  }

  void take_frames() {
    AVFrame* frame = av_frame_alloc();
    while (avcodec_receive_frame(codec_, frame) >= 0) {
      io::Image image(frame->width, frame->height, 3);
      SwsContext* converter =
          sws_getContext(frame->width, frame->height, static_cast<AVPixelFormat>(frame->format),
                         frame->width, frame->height, AV_PIX_FMT_RGB24,
                         SWS_BILINEAR | SWS_ACCURATE_RND, nullptr, nullptr, nullptr);
      const int* bt709 = sws_getCoefficients(SWS_CS_ITU709);
      sws_setColorspaceDetails(converter, bt709, 0, bt709, 1, 0, 1 << 16, 1 << 16);
      uint8_t* planes[] = {image.pixels.data()};
      const int strides[] = {static_cast<int>(image.stride())};
      sws_scale(converter, frame->data, frame->linesize, 0, frame->height, planes, strides);
      sws_freeContext(converter);
      video_.frames.push_back(std::move(image));
    }
    av_frame_free(&frame);
  }

  AVFormatContext* file_ = nullptr;
  AVCodecContext* codec_ = nullptr;
  Video video_;
};

inline Video read_video(const std::string& path) {
  return VideoReader(path).read();
}

/// Peak signal-to-noise ratio of two pictures of one size, dB.
inline double psnr(const io::Image& a, const io::Image& b) {
  if (a.shape() != b.shape()) throw std::runtime_error("psnr: shapes differ");
  double sum = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) {
    const double difference = double(a.pixels[i]) - b.pixels[i];
    sum += difference * difference;
  }
  return 10 * std::log10(255.0 * 255.0 * double(a.pixels.size()) / sum);
}

}  // namespace galette::testing

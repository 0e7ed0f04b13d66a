// SPDX-License-Identifier: Apache-2.0
#include "io/video_writer.h"

#include <array>
#include <cerrno>
#include <cmath>

#include <fmt/format.h>

#include "io/check.h"
#include "io/durable.h"

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>
#include <libswscale/swscale.h>
}

namespace galette::io {
namespace {

constexpr int kMostSide = 16384;  // of x264
// x264 makes another file with another number of threads.
constexpr int kEncoderThreads = 4;

std::string av_text(int code) {
  std::array<char, AV_ERROR_MAX_STRING_SIZE> text{};
  av_strerror(code, text.data(), text.size());
  return text.data();
}

/// Frees what FFmpeg allocated; each of its kinds has a function of its own.
struct Free {
  void operator()(AVCodecContext* context) const { avcodec_free_context(&context); }
  void operator()(AVFrame* frame) const { av_frame_free(&frame); }
  void operator()(AVPacket* packet) const { av_packet_free(&packet); }
  void operator()(SwsContext* context) const { sws_freeContext(context); }
  void operator()(AVFormatContext* context) const {
    avio_closep(&context->pb);
    avformat_free_context(context);
  }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

int even(int side) {
  return side + side % 2;
}

}  // namespace

class VideoWriter::Encoder {
 public:
  Encoder(std::string path, const VideoLayout& layout)
      : path_(std::move(path)), layout_(layout), temporary_(path_ + ".tmp") {
    if (layout.width < 1 || layout.height < 1 || layout.width > kMostSide ||
        layout.height > kMostSide)
      throw InputError(fmt::format("{}: {}x{} pixels; a video takes 1 to {} on a side", path_,
                                   layout.width, layout.height, kMostSide));
    av_log_set_level(AV_LOG_QUIET);  // errors are told by the exceptions below
    open_container();
    open_codec();
    add_stream();
    make_converter();
  }

  void write(const Image& image) {
    check(av_frame_make_writable(rgb_.get()), "memory of a frame");
    check(av_frame_make_writable(yuv_.get()), "memory of a frame");
    copy_padded(image);
    sws_scale(converter_.get(), rgb_->data, rgb_->linesize, 0, rgb_->height, yuv_->data,
              yuv_->linesize);
    yuv_->pts = frames_++;
    encode(yuv_.get());
  }

  void finish() {
    encode(nullptr);
    check(av_write_trailer(container_.get()), "end of the file");
    check(avio_closep(&container_->pb), "end of the file");
    replace_durably(temporary_.path(), path_);
    temporary_.keep();
  }

 private:
  void check(int code, const char* what) const {
    if (code < 0)
      throw std::runtime_error(
          fmt::format("{}: cannot be written: {}: {}", path_, what, av_text(code)));
  }
  template <typename T>
  Owned<T> owned(T* allocated) const {
    if (allocated == nullptr) check(AVERROR(ENOMEM), "memory of the encoder");
    return Owned<T>(allocated);
  }

  void open_container() {
    // A path is no URL: without the prefix, "a:b" would name a protocol.
    const std::string url = "file:" + temporary_.path();
    AVFormatContext* container = nullptr;
    check(avformat_alloc_output_context2(&container, nullptr, "mp4", url.c_str()), "MP4");
    container_ = owned(container);
    const int code = avio_open(&container_->pb, url.c_str(), AVIO_FLAG_WRITE);
    if (code < 0) throw InputError(fmt::format("{}: cannot be written: {}", path_, av_text(code)));
  }

  void open_codec() {
    const AVCodec* codec = avcodec_find_encoder_by_name("libx264");
    if (codec == nullptr)
      throw std::runtime_error(
          fmt::format("{}: cannot be written: the FFmpeg libraries of this machine lack the "
                      "encoder libx264; install ones that have it",
                      path_));
    codec_ = owned(avcodec_alloc_context3(codec));
    codec_->width = even(layout_.width);
    codec_->height = even(layout_.height);
    codec_->time_base = {1, layout_.frames_per_second};
    codec_->framerate = {layout_.frames_per_second, 1};
    codec_->bit_rate = std::llround(layout_.megabits_per_second * 1e6);
    codec_->pix_fmt = AV_PIX_FMT_YUV420P;
    codec_->color_range = AVCOL_RANGE_MPEG;
    codec_->colorspace = AVCOL_SPC_BT709;
    codec_->color_primaries = AVCOL_PRI_BT709;
    codec_->color_trc = AVCOL_TRC_BT709;
    codec_->thread_count = kEncoderThreads;
    codec_->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;  // MP4 holds the parameters once, at its front
    check(avcodec_open2(codec_.get(), codec, nullptr), "x264");
    packet_ = owned(av_packet_alloc());
  }

  void add_stream() {
    stream_ = avformat_new_stream(container_.get(), nullptr);
    if (stream_ == nullptr) check(AVERROR(ENOMEM), "memory of the encoder");
    stream_->time_base = codec_->time_base;
    stream_->avg_frame_rate = codec_->framerate;
    check(avcodec_parameters_from_context(stream_->codecpar, codec_.get()), "x264");
    // The index goes to the front, so that a browser shows the video while it loads.
    AVDictionary* options = nullptr;
    av_dict_set(&options, "movflags", "+faststart", 0);
    const int code = avformat_write_header(container_.get(), &options);
    av_dict_free(&options);
    check(code, "MP4");
  }

  void make_converter() {
    rgb_ = make_frame(AV_PIX_FMT_RGB24);
    yuv_ = make_frame(AV_PIX_FMT_YUV420P);
    converter_ = owned(sws_getContext(
        rgb_->width, rgb_->height, AV_PIX_FMT_RGB24, rgb_->width, rgb_->height, AV_PIX_FMT_YUV420P,
        SWS_BILINEAR | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INP, nullptr, nullptr, nullptr));
    const int* bt709 = sws_getCoefficients(SWS_CS_ITU709);
    constexpr int kFullRange = 1, kLimitedRange = 0, kOne = 1 << 16;
    check(sws_setColorspaceDetails(converter_.get(), bt709, kFullRange, bt709, kLimitedRange, 0,
                                   kOne, kOne),
          "BT.709");
  }

  Owned<AVFrame> make_frame(AVPixelFormat format) const {
    Owned<AVFrame> frame = owned(av_frame_alloc());
    frame->format = format;
    frame->width = codec_->width;
    frame->height = codec_->height;
    frame->color_range = codec_->color_range;
    check(av_frame_get_buffer(frame.get(), 0), "memory of a frame");
    return frame;
  }

  /// Grey becomes RGB, odd sides become even.
  void copy_padded(const Image& image) {
    for (int y = 0; y < rgb_->height; ++y) {
      const uint8_t* in = image.row(std::min(y, image.height - 1));
      uint8_t* out = rgb_->data[0] + static_cast<ptrdiff_t>(y) * rgb_->linesize[0];
      for (int x = 0; x < rgb_->width; ++x) {
        const uint8_t* pixel = in + std::min(x, image.width - 1) * image.channels;
        for (int c = 0; c < 3; ++c) *out++ = pixel[image.channels == 3 ? c : 0];
      }
    }
  }

  /// Gives a frame to x264, null after the last, and what it has ready to the file.
  void encode(const AVFrame* frame) {
    check(avcodec_send_frame(codec_.get(), frame), "x264");
    for (;;) {
      const int code = avcodec_receive_packet(codec_.get(), packet_.get());
      if (code == AVERROR(EAGAIN) || code == AVERROR_EOF) return;
      check(code, "x264");
      packet_->stream_index = stream_->index;
      packet_->duration = 1;
      av_packet_rescale_ts(packet_.get(), codec_->time_base, stream_->time_base);
      check(av_interleaved_write_frame(container_.get(), packet_.get()), "MP4");
    }
  }

  std::string path_;
  VideoLayout layout_;
  TemporaryFile temporary_;
  Owned<AVFormatContext> container_;
  Owned<AVCodecContext> codec_;
  Owned<AVPacket> packet_;
  Owned<AVFrame> rgb_, yuv_;
  Owned<SwsContext> converter_;
  AVStream* stream_ = nullptr;  // of container_
  int64_t frames_ = 0;
};

VideoWriter::VideoWriter(std::string path, const VideoLayout& layout)
    : encoder_(std::make_unique<Encoder>(std::move(path), layout)) {}

VideoWriter::~VideoWriter() = default;

void VideoWriter::write(const Image& frame) {
  encoder_->write(frame);
}

void VideoWriter::finish() {
  encoder_->finish();
}

}  // namespace galette::io

// SPDX-License-Identifier: Apache-2.0
#include "io/event_file.h"

#include <bit>
#include <cstring>
#include <filesystem>
#include <optional>
#include <span>

#include <fcntl.h>

#include "io/checksum.h"
#include "io/descriptor.h"
#include "io/durable.h"
#include "io/file_util.h"
#include "io/protobuf_writer.h"

namespace galette::io {
namespace {

// Fields of tensorflow.Event and the messages in it.
namespace event_field {
enum { wall_time = 1, step = 2, file_version = 3, summary = 5, session_log = 7 };
}
namespace summary_field {
enum { value = 1 };
}
namespace value_field {
enum { tag = 1, simple_value = 2, image = 4 };
}
namespace image_field {
enum { height = 1, width = 2, colorspace = 3, encoded = 4 };
}
namespace session_field {
enum { status = 1 };
}
constexpr int kSessionStart = 1;

constexpr size_t kLengthBytes = 8, kChecksumBytes = 4;
constexpr size_t kTimeBytes = 9;  ///< tag and value of wall_time, the first field of ours
constexpr char kSummaryTag = event_field::summary << 3 | 2;

std::string little_endian(uint64_t value, size_t bytes) {
  std::string text;
  for (size_t i = 0; i < bytes; ++i) text.push_back(static_cast<char>(value >> (8 * i)));
  return text;
}

uint64_t little_endian(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i > 0; --i) value = value << 8 | static_cast<uint8_t>(bytes[i - 1]);
  return value;
}

/// Checksums of data that hold checksums are masked in this format.
uint32_t masked_checksum(std::string_view bytes) {
  constexpr uint32_t kMask = 0xa282ead8;
  return std::rotr(crc32c(bytes.data(), bytes.size()), 15) + kMask;
}

ProtobufMessage event_message(double wall_time, int64_t step) {
  ProtobufMessage message;
  message.add_double(event_field::wall_time, wall_time);
  message.add_integer(event_field::step, step);
  return message;
}

ProtobufMessage picture_message(const EventPicture& picture) {
  ProtobufMessage image;
  image.add_integer(image_field::height, picture.height);
  image.add_integer(image_field::width, picture.width);
  image.add_integer(image_field::colorspace, picture.channels);
  image.add_bytes(image_field::encoded, picture.encoded);
  return image;
}

ProtobufMessage summary_message(const Event& event) {
  ProtobufMessage summary;
  for (const auto& [tag, number] : event.scalars) {
    ProtobufMessage value;
    value.add_bytes(value_field::tag, tag);
    value.add_float(value_field::simple_value, static_cast<float>(number));
    summary.add_message(summary_field::value, value);
  }
  for (const EventPicture& picture : event.pictures) {
    ProtobufMessage value;
    value.add_bytes(value_field::tag, picture.tag);
    value.add_message(value_field::image, picture_message(picture));
    summary.add_message(summary_field::value, value);
  }
  return summary;
}

std::string record(std::string_view message) {
  const std::string length = little_endian(message.size(), kLengthBytes);
  return length + little_endian(masked_checksum(length), kChecksumBytes) + std::string(message) +
         little_endian(masked_checksum(message), kChecksumBytes);
}

/// The message of the record that `bytes` begin with; none when it is incomplete or damaged.
std::optional<std::string_view> first_message(std::string_view bytes) {
  constexpr size_t kFrame = kLengthBytes + 2 * kChecksumBytes;
  if (bytes.size() < kFrame) return std::nullopt;
  const std::string_view length = bytes.substr(0, kLengthBytes);
  const uint64_t size = little_endian(length);
  if (little_endian(bytes.substr(kLengthBytes, kChecksumBytes)) != masked_checksum(length) ||
      size > bytes.size() - kFrame)
    return std::nullopt;
  const std::string_view message = bytes.substr(kLengthBytes + kChecksumBytes, size);
  const std::string_view checksum =
      bytes.substr(kLengthBytes + kChecksumBytes + size, kChecksumBytes);
  if (little_endian(checksum) != masked_checksum(message)) return std::nullopt;
  return message;
}

/// The time of an event with scalars or pictures; none for the others.
std::optional<double> summary_time(std::string_view message) {
  if (message.size() <= kTimeBytes) return std::nullopt;
  size_t at = kTimeBytes + 1;  // behind the tag of the step, whose bytes but the last are negative
  while (at < message.size() && (static_cast<uint8_t>(message[at]) & 0x80) != 0) ++at;
  if (at + 1 >= message.size() || message[at + 1] != kSummaryTag) return std::nullopt;
  return std::bit_cast<double>(little_endian(message.substr(1, kTimeBytes - 1)));
}

std::string made(const std::string& path) {
  const Descriptor file(path, O_WRONLY | O_CREAT | O_EXCL);
  return path;
}

}  // namespace

EventFile::EventFile(const std::string& path, double wall_time, int64_t first_step)
    : file_(made(path), PositionalFile::Access::write) {
  ProtobufMessage version;
  version.add_double(event_field::wall_time, wall_time);
  version.add_bytes(event_field::file_version, "brain.Event:2");
  write(version.bytes());
  ProtobufMessage session;
  session.add_integer(session_field::status, kSessionStart);
  ProtobufMessage start = event_message(wall_time, first_step);
  start.add_message(event_field::session_log, session);
  write(start.bytes());
}

void EventFile::append(const Event& event) {
  ProtobufMessage message = event_message(event.wall_time, event.step);
  message.add_message(event_field::summary, summary_message(event));
  write(message.bytes());
}

void EventFile::write(std::string_view message) {
  const std::string bytes = record(message);
  const auto size = static_cast<int64_t>(bytes.size());
  file_.write(bytes.data(), size, size_);
  size_ += size;
}

void keep_events(const std::string& path, const std::set<double>& wall_times) {
  const std::vector<uint8_t> bytes = read_file(path);
  std::string_view rest(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::string kept;
  bool has_events = false;
  while (const auto message = first_message(rest)) {
    const std::optional<double> time = summary_time(*message);
    if (!time || wall_times.contains(*time)) kept += record(*message);
    has_events |= time && wall_times.contains(*time);
    rest.remove_prefix(record(*message).size());
  }
  if (!has_events) {
    std::filesystem::remove(path);
  } else if (kept.size() != bytes.size()) {
    write_file(path, {reinterpret_cast<const uint8_t*>(kept.data()), kept.size()});
    sync_path(path);
  }
}

}  // namespace galette::io

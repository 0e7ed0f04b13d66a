// SPDX-License-Identifier: Apache-2.0
#include "io/protobuf_writer.h"

#include <bit>

namespace galette::io {
namespace {

// How the bytes after a tag are to be read.
enum WireType { kVarint = 0, kFixed64 = 1, kLengthDelimited = 2, kFixed32 = 5 };

}  // namespace

void ProtobufMessage::add_tag(int field, int wire_type) {
  add_varint(static_cast<uint64_t>(field) << 3 | static_cast<uint64_t>(wire_type));
}

void ProtobufMessage::add_varint(uint64_t value) {
  for (; value >= 0x80; value >>= 7) bytes_.push_back(static_cast<char>(value | 0x80));
  bytes_.push_back(static_cast<char>(value));
}

template <typename T>
void ProtobufMessage::add_fixed(T value) {
  for (size_t byte = 0; byte < sizeof(T); ++byte) {
    bytes_.push_back(static_cast<char>(value >> (8 * byte)));
  }
}

void ProtobufMessage::add_integer(int field, int64_t value) {
  add_tag(field, kVarint);
  add_varint(static_cast<uint64_t>(value));
}

void ProtobufMessage::add_float(int field, float value) {
  add_tag(field, kFixed32);
  add_fixed(std::bit_cast<uint32_t>(value));
}

void ProtobufMessage::add_double(int field, double value) {
  add_tag(field, kFixed64);
  add_fixed(std::bit_cast<uint64_t>(value));
}

void ProtobufMessage::add_bytes(int field, std::string_view value) {
  add_tag(field, kLengthDelimited);
  add_varint(value.size());
  bytes_.append(value);
}

void ProtobufMessage::add_message(int field, const ProtobufMessage& message) {
  add_bytes(field, message.bytes_);
}

void ProtobufMessage::add_integers(int field, const std::vector<int64_t>& values) {
  ProtobufMessage packed;
  for (const int64_t value : values) packed.add_varint(static_cast<uint64_t>(value));
  add_bytes(field, packed.bytes_);
}

void ProtobufMessage::add_floats(int field, const std::vector<float>& values) {
  ProtobufMessage packed;
  for (const float value : values) packed.add_fixed(std::bit_cast<uint32_t>(value));
  add_bytes(field, packed.bytes_);
}

void ProtobufMessage::add_doubles(int field, const std::vector<double>& values) {
  ProtobufMessage packed;
  for (const double value : values) packed.add_fixed(std::bit_cast<uint64_t>(value));
  add_bytes(field, packed.bytes_);
}

}  // namespace galette::io

// SPDX-License-Identifier: Apache-2.0
// Messages in the wire format of Protocol Buffers (protobuf.dev/programming-guides/encoding), for
// the few that Galette writes. The library itself is not used: LibTorch exports the symbols of
// another version of it, and one program cannot hold both.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace galette::io {

/// A message under construction; fields appear in the order of the calls.
class ProtobufMessage {
 public:
  /// int32, int64, uint64, bool and enum fields.
  void add_integer(int field, int64_t value);
  void add_float(int field, float value);
  void add_double(int field, double value);
  /// string and bytes fields.
  void add_bytes(int field, std::string_view value);
  void add_message(int field, const ProtobufMessage& message);
  /// Repeated numbers, packed.
  void add_integers(int field, const std::vector<int64_t>& values);
  void add_floats(int field, const std::vector<float>& values);
  void add_doubles(int field, const std::vector<double>& values);

  const std::string& bytes() const { return bytes_; }

 private:
  void add_tag(int field, int wire_type);
  void add_varint(uint64_t value);
  template <typename T>
  void add_fixed(T value);

  std::string bytes_;
};

}  // namespace galette::io

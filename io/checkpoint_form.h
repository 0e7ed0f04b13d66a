// SPDX-License-Identifier: Apache-2.0
// A checkpoint without its data: the objects of HDF5, among them the names of the slices. HDF5
// takes 0.15 s to make 1,500 names, and they are the same in all checkpoints of a run. So the bytes
// that HDF5 wrote for the first one are kept, and begin the next.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/checkpoint.h"

namespace galette::io {

/// Bytes that a checkpoint takes at most.
uint64_t space_for(const CheckpointContent& content);

class CheckpointForm {
 public:
  /// Creates `path`, or replaces what is in it, with all objects of a checkpoint but the state and
  /// the commit mark; arrays and hashes have their place in the file but no values. The space is
  /// reserved where the file system can. Of `content` only names, types and shapes are read. By one
  /// rank. Throws as H5File and reserve_space().
  void write(const std::string& path, const CheckpointContent& content);

 private:
  struct Part {
    std::string name;
    at::ScalarType type;
    int64_t size;
    std::vector<NamedSlice> slices;
    bool operator==(const Part&) const = default;
  };
  struct Piece {
    int64_t offset;
    std::vector<uint8_t> bytes;
  };
  static std::vector<Part> parts_of(const CheckpointContent& content);
  void make(const std::string& path, const CheckpointContent& content);
  void keep_bytes(const std::string& path, int64_t begin, int64_t end);
  void write_kept(const std::string& path) const;

  std::vector<Part> parts_;    ///< what the kept bytes are for; empty: nothing is kept
  std::vector<Piece> pieces_;  ///< all that is not zero
  int64_t size_ = 0;           ///< of the file
};

}  // namespace galette::io

// SPDX-License-Identifier: Apache-2.0
// How flat memory is cut for a number of ranks: into buckets of equal length but for the last, each
// of which falls into one piece per rank, and a rest of fewer elements than ranks, which belongs to
// the last rank. The plan depends on nothing but three numbers, so it is the same on all ranks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace galette {

/// Elements [begin, begin + size) of flat memory.
struct FlatRange {
  int64_t begin = 0;
  int64_t size = 0;
  int64_t end() const { return begin + size; }
};

inline FlatRange intersection(const FlatRange& a, const FlatRange& b) {
  const int64_t begin = std::max(a.begin, b.begin);
  return {begin, std::max<int64_t>(0, std::min(a.end(), b.end()) - begin)};
}

class BucketPlan {
 public:
  /// `size` elements in buckets of `length`, or as many more as make pieces equal.
  BucketPlan(int64_t size, int64_t length, int ranks)
      : size_(size), ranks_(ranks), length_((std::max<int64_t>(length, 1) + ranks - 1) / ranks) {
    length_ *= ranks;
  }

  int ranks() const { return ranks_; }
  int64_t size() const { return size_; }
  /// Buckets, without the rest.
  int64_t count() const { return (rest().begin + length_ - 1) / length_; }
  FlatRange bucket(int64_t index) const {
    return {index * length_, std::min(length_, rest().begin - index * length_)};
  }
  FlatRange piece(int64_t index, int rank) const {
    const FlatRange whole = bucket(index);
    const int64_t part = whole.size / ranks_;
    return {whole.begin + rank * part, part};
  }
  FlatRange rest() const { return {size_ - size_ % ranks_, size_ % ranks_}; }
  /// The bucket of an element; count() for one of the rest.
  int64_t bucket_of(int64_t element) const {
    return element >= rest().begin ? count() : element / length_;
  }
  /// Everything that belongs to a rank, in ascending order.
  std::vector<FlatRange> share(int rank) const {
    std::vector<FlatRange> ranges;
    for (int64_t i = 0; i < count(); ++i) ranges.push_back(piece(i, rank));
    if (rank == ranks_ - 1 && rest().size > 0) ranges.push_back(rest());
    return ranges;
  }

 private:
  int64_t size_;
  int ranks_;
  int64_t length_;
};

}  // namespace galette

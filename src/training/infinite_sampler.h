// SPDX-License-Identifier: Apache-2.0
// The endless order s(0), s(1), ... in which training shows the items of a dataset. An array of all
// items, shuffled once, is walked round and round; after an item is shown it is exchanged with one
// at a random distance below half the array behind it. So the order never repeats, and two showings
// of an item are at least N - window + 1 steps apart. Image g of iteration t is s(t * batch + g).
#pragma once

#include <cmath>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "base/sample_rng.h"

namespace galette {

/// The recurrence alone; who draws is the caller's business. `Below` is called as below(n) and
/// returns an integer in [0, n).
class WindowOrder {
 public:
  /// `window` is the fraction of the array within which items are exchanged; size >= 1.
  explicit WindowOrder(int64_t size, double window = 0.5)
      : order_(static_cast<size_t>(size)),
        window_(std::llrint(static_cast<double>(size) * window)) {
    std::iota(order_.begin(), order_.end(), int64_t{0});
  }

  int64_t size() const { return static_cast<int64_t>(order_.size()); }
  /// Steps taken since the start.
  int64_t position() const { return position_; }

  /// Draws for i = size-1 ... 1, as below(i + 1).
  template <typename Below>
  void shuffle(Below&& below) {
    for (size_t i = order_.size(); i-- > 1;) {
      std::swap(order_[i], order_[static_cast<size_t>(below(i + 1))]);
    }
  }

  /// The item of this step; draws once when the window allows an exchange.
  template <typename Below>
  int64_t next(Below&& below) {
    const auto here = static_cast<size_t>(position_++) % order_.size();
    const int64_t item = order_[here];
    if (window_ >= 2) {
      const auto distance = static_cast<size_t>(below(static_cast<uint64_t>(window_)));
      const size_t there = here >= distance ? here - distance : here + order_.size() - distance;
      std::swap(order_[here], order_[there]);
    }
    return item;
  }

 private:
  std::vector<int64_t> order_;
  int64_t window_;
  int64_t position_ = 0;
};

/// s(q) as a function of (seed, N, q) alone: step q draws from its own place of the stream.
class InfiniteSampler {
 public:
  /// Over items 0 ... size-1; throws when size < 1.
  InfiniteSampler(const SampleRng& rng, int64_t size);

  int64_t position() const { return order_.position(); }
  int64_t next();
  /// Goes to position q by replaying the steps up to it (some 10 ns each).
  void seek(int64_t q);

 private:
  SampleRng rng_;
  WindowOrder order_;
};

}  // namespace galette

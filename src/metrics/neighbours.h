// SPDX-License-Identifier: Apache-2.0
// How far two sets of images cover each other (Kynkaanniemi et al. 2019).
#pragma once

#include <cstdint>
#include <functional>

#include "metrics/shared_features.h"

namespace galette {

struct Coverage {
  double precision = 0;  ///< fraction of generated images among the real ones
  double recall = 0;     ///< fraction of real images among the generated ones
};

/// An image is among others when one of these is at least as near to it as to its own `k`-th
/// nearest neighbour. Both sets have more than `k` images, and features of one width. Every rank
/// compares its rows with all, block by block in double precision; its memory is that of its rows.
/// `between` is called on all ranks between blocks, and may throw on all. Collective.
Coverage coverage(
    const SharedFeatures& real, const SharedFeatures& generated, int64_t k,
    const std::function<void()>& between = [] {});

}  // namespace galette

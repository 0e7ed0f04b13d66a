// SPDX-License-Identifier: Apache-2.0
// What a discriminator is told of the variety in a batch: the standard deviation of features over a
// group of samples, averaged, as further channels (Karras et al. 2018, "Progressive Growing of
// GANs", section 3). One operation, with first and second derivatives.
#pragma once

#include <ATen/ATen.h>

namespace galette {

/// x [N, C, H, W] -> [N, C + channels, H, W]. The channels of x are cut into `channels` parts, the
/// samples into groups of min(group_size, N) consecutive ones. Channel C + f of a sample is the
/// mean, over the elements p of part f, of
///
///   s[p] = sqrt(mean over the group of (x[i, p] - mean of x[., p])^2, plus 1e-8)
///
/// computed in float64: R1 differentiates small differences between samples. Throws c10::Error when
/// N is no multiple of the group or C none of `channels`.
at::Tensor append_minibatch_std(const at::Tensor& x, int64_t group_size, int64_t channels);

}  // namespace galette

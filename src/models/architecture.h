// SPDX-License-Identifier: Apache-2.0
// What the networks with one block per resolution share: how blocks and images are joined, and
// which blocks may compute in 16 bits.
#pragma once

#include <cstdint>
#include <string>

#include <nlohmann/json.hpp>

namespace galette {

/// Karras et al. 2020a, figure 7: plain blocks, blocks that each add to (or read) the image at
/// their own resolution, or blocks with a residual path.
enum class Architecture { orig, skip, resnet };

std::string architecture_name(Architecture architecture);
/// The argument "architecture"; throws InputError for a name that is none of the three.
Architecture architecture_from(const nlohmann::json& args, Architecture fallback);

/// The smallest resolution whose block may compute in 16 bits: the `num_fp16_res` largest ones may,
/// but none below 8; above img_resolution when none may (Karras et al. 2020b, "Training Generative
/// Adversarial Networks with Limited Data").
int64_t first_low_resolution(int64_t img_resolution, int64_t num_fp16_res);

}  // namespace galette

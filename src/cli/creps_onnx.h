// SPDX-License-Identifier: Apache-2.0
// A CREPS generator as an ONNX model, for programs that run such models. It has the inputs
//   z [N, z_dim], and c [N, c_dim] of a conditional network
//   truncation_psi []       may be left out: 1. Absent when the average latent is not finite
//   rows [H], columns [W]   coordinates of the pixels; 0 to 1 is the image, both ends included
// and the output image [N, channels, H, W], all float32. N, H and W are free: any size and any part
// of an image can be asked for.
#pragma once

#include <string>

#include "models/creps.h"

namespace galette {

/// The bytes of the file. Tensors have their published names; those of layers are stored with the
/// factors of run time multiplied in. Throws InputError when the model would exceed 2 GB.
std::string creps_onnx(const CrepsGenerator& g);

}  // namespace galette

// SPDX-License-Identifier: Apache-2.0
// Published networks (CREPS, StyleGAN2-ADA, StyleGAN3): Python pickles of a dictionary with the
// modules G, D and G_ema. They are read as data: nothing in them is executed, and what they would
// execute is refused.
#pragma once

#include <string>

#include "io/network_file.h"

namespace galette::io {

/// The networks of a pickle. Tensors are named by the path of their modules and kept as the class
/// and arguments say; what a pickle does not know (kimg, cfg) stays empty. Throws InputError with
/// one line when the file holds no networks or names what it must not, DamagedFile when it is cut
/// off or makes no sense.
NetworkFile read_pickled_networks(const std::string& path);

}  // namespace galette::io

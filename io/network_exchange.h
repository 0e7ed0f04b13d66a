// SPDX-License-Identifier: Apache-2.0
// Networks in files of other formats. In safetensors a tensor is named NETWORK.TENSOR
// ("G_ema.mapping.w_avg"); what else a network file says is metadata: kimg, cfg, dataset,
// dataset_fingerprint, ada_p, options, version, and for each network NETWORK.class, NETWORK.init
// and NETWORK.buffers (a JSON list of the tensors that are no parameters). All of it is optional.
#pragma once

#include <string>

#include "io/network_file.h"
#include "io/safetensors.h"

namespace galette::io {

SafetensorsFile to_safetensors(const NetworkFile& file);

/// Numbers of 16 bits become float32, which holds them exactly. `path` is for messages. Throws
/// InputError when a tensor's name has no network before a dot, DamagedFile for metadata that
/// cannot be read.
NetworkFile from_safetensors(const SafetensorsFile& file, const std::string& path);

/// Networks from a file of any kind that they can be read from: a network snapshot or safetensors.
/// Throws InputError with one line for others, and for damaged ones as their readers do.
NetworkFile read_networks(const std::string& path);

/// Floating-point numbers of 16 bits as float32, which holds them exactly; others as they are.
at::Tensor widened(const at::Tensor& value);

/// What the tensors of a generator give away: creps, stylegan2, stylegan3; empty when nothing.
std::string generator_family(const NetworkRecord& record);

}  // namespace galette::io

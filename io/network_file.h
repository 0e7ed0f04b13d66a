// SPDX-License-Identifier: Apache-2.0
// Network files: the tensors of a generator, a discriminator and their options, enough to rebuild
// the networks without anything else.
//
// Layout: /<network>/<tensor>  one dataset per tensor, named as in the published state dictionaries
//                              (dots kept), with attribute kind = param | buffer
//         /<network>           a group (G, D, G_ema) with attributes class and init (JSON)
//         root attributes      format = galette-network, format_version, kimg, cfg, dataset,
//                              dataset_fingerprint, ada_p, options (JSON), version, digest
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

namespace galette::io {

enum class TensorKind { param, buffer };

struct StoredTensor {
  at::Tensor value;
  TensorKind kind = TensorKind::param;
};

struct NetworkRecord {
  std::string class_name;
  nlohmann::json init;  ///< the constructor's arguments
  std::map<std::string, StoredTensor> tensors;
};

struct NetworkFile {
  std::map<std::string, NetworkRecord> networks;  ///< by name: G, D, G_ema
  double kimg = 0;                                ///< thousands of images shown so far
  std::string cfg;
  std::string dataset;              ///< the training set's name
  std::string dataset_fingerprint;  ///< and a digest of its content
  double ada_p = 0;                 ///< augmentation probability
  nlohmann::json options;           ///< the training options
  std::string version;              ///< of the program that wrote the file
};

/// network-snapshot-%06d.h5, by thousands of images.
std::string network_snapshot_name(int64_t kimg);

/// Writes a file, by way of `path`.tmp and an atomic rename, synced to the storage. Tensors may be
/// on any device. On one rank. Throws InputError or std::runtime_error naming the path.
void write_network_file(const std::string& path, const NetworkFile& file);

/// Reads all of a file into host memory. Throws InputError when it is missing, not a network file
/// or of a newer format, DamagedFile when its content does not match its digest.
NetworkFile read_network_file(const std::string& path);

}  // namespace galette::io

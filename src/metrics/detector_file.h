// SPDX-License-Identifier: Apache-2.0
// Detector networks from weight files: PyTorch's (.pth, .pt, TorchScript) or safetensors. They
// compute on the device that is given.
#pragma once

#include <memory>
#include <string>

#include "models/detector.h"

namespace galette {

/// The network that a file's tensors belong to. Throws InputError that says what is missing and
/// what to give.
std::unique_ptr<Detector> load_detector(const std::string& path,
                                        InceptionInput input = InceptionInput::tensorflow);

/// From a file with VGG16 and the heads of LPIPS, or from VGG16 in one file and the heads in
/// another. Throws InputError as load_detector does.
std::unique_ptr<Lpips> load_lpips(const std::string& path, const std::string& heads = "",
                                  at::Device device = at::kCPU);

/// What a file's tensors are: a detector, LPIPS, or, for VGG16, both or either.
struct DetectorNetworks {
  std::string kind;  ///< as Detector::kind()
  std::unique_ptr<Detector> detector;
  std::unique_ptr<Lpips> lpips;
};

/// What is wanted of VGG16; of other networks it is always their features.
struct VggUse {
  bool features = true;
  bool lpips = false;
};

/// Reads a file once for what is wanted of it. Throws InputError as load_detector and load_lpips.
DetectorNetworks load_networks(const std::string& path, const VggUse& use,
                               const std::string& heads = "", at::Device device = at::kCPU);

}  // namespace galette

// SPDX-License-Identifier: Apache-2.0
// Rebuilds networks from what a snapshot says about them: class name and constructor arguments.
#pragma once

#include <memory>
#include <string>

#include <nlohmann/json.hpp>

#include "models/network.h"

namespace galette {

/// Tensors are allocated, their values undefined. Throws InputError for a class that is not known.
std::unique_ptr<Generator> make_generator(const std::string& class_name, const nlohmann::json& args,
                                          at::TensorOptions options);
std::unique_ptr<Discriminator> make_discriminator(const std::string& class_name,
                                                  const nlohmann::json& args,
                                                  at::TensorOptions options);

}  // namespace galette

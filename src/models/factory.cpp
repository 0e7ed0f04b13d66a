// SPDX-License-Identifier: Apache-2.0
#include "models/factory.h"

#include "io/check.h"
#include "models/creps.h"
#include "models/discriminator.h"
#include "models/stylegan2.h"
#include "models/stylegan3.h"

namespace galette {

std::unique_ptr<Generator> make_generator(const std::string& class_name, const nlohmann::json& args,
                                          at::TensorOptions options) {
  if (class_name == CrepsGenerator::kClassName) {
    return std::make_unique<CrepsGenerator>(CrepsConfig::from_json(args), options);
  }
  if (class_name == StyleGan2Generator::kClassName) {
    return std::make_unique<StyleGan2Generator>(StyleGan2Config::from_json(args), options);
  }
  if (class_name == StyleGan3Generator::kClassName) {
    return std::make_unique<StyleGan3Generator>(StyleGan3Config::from_json(args), options);
  }
  throw InputError("network class " + class_name + " is no generator that this version knows");
}

std::unique_ptr<Discriminator> make_discriminator(const std::string& class_name,
                                                  const nlohmann::json& args,
                                                  at::TensorOptions options) {
  if (class_name == StyleGan2Discriminator::kClassName) {
    return std::make_unique<StyleGan2Discriminator>(DiscriminatorConfig::from_json(args), options);
  }
  throw InputError("network class " + class_name + " is no discriminator that this version knows");
}

}  // namespace galette

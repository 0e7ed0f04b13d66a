// SPDX-License-Identifier: Apache-2.0
// Stands in for the CUDA bodies in a build without CUDA: every entry point throws and says which
// option to set.
#include <stdexcept>
#include <string>

#include "kernels/bias_act_math.h"

namespace galette {
namespace {

[[noreturn]] void no_cuda(const char* op) {
  throw std::runtime_error(std::string(op) +
                           ": this build has no CUDA kernels; configure it with -DGALETTE_CUDA=ON");
}

}  // namespace

void bias_act_forward_cuda(const BiasActCall&, const void*, const void*, void*, void*) {
  no_cuda("bias_act");
}
void bias_act_gradient_cuda(const BiasActCall&, const void*, const void*, const void*, void*,
                            void*) {
  no_cuda("bias_act");
}
void bias_act_curvature_cuda(const BiasActCall&, const void*, const void*, const void*, const void*,
                             void*, void*) {
  no_cuda("bias_act");
}

}  // namespace galette

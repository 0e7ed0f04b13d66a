// SPDX-License-Identifier: Apache-2.0
// Stands in for the CUDA bodies in a build without CUDA: every entry point throws and says which
// option to set.
#include <stdexcept>
#include <string>

#include "kernels/affine_resample_math.h"
#include "kernels/bias_act_math.h"
#include "kernels/demodulation_math.h"
#include "kernels/filtered_lrelu_math.h"
#include "kernels/line_decoder_math.h"
#include "kernels/minibatch_std_math.h"
#include "kernels/modulated_weight_math.h"
#include "kernels/multi_tensor_math.h"
#include "kernels/philox_normal_math.h"
#include "kernels/tally_math.h"
#include "kernels/upfirdn2d_math.h"

namespace galette {
namespace {

[[noreturn]] void no_cuda(const char* op) {
  throw std::runtime_error(std::string(op) +
                           ": this build has no CUDA kernels; configure it with -DGALETTE_CUDA=ON");
}

}  // namespace

void affine_resample_cuda(const AffineResampleCall&, const AffinePath*, bool, const AffineScratch&,
                          const void*, void*, void*) {
  no_cuda("affine_resample");
}

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

void demodulation_forward_cuda(const DemodulationCall&, const void*, const void*, void*, void*,
                               void*) {
  no_cuda("demodulation");
}
void demodulation_gradient_cuda(const DemodulationCall&, const DemodulationPoint&, const void*,
                                void*, void*, void*) {
  no_cuda("demodulation");
}
void demodulation_curvature_cuda(const DemodulationCall&, const DemodulationPoint&, const void*,
                                 const void*, const void*, void*, void*, void*, void*, void*) {
  no_cuda("demodulation");
}

void filtered_lrelu_cuda(const FilteredLreluCall&, const DeviceTaps&, const DeviceTaps&,
                         const void*, const void*, uint8_t*, void*, void*) {
  no_cuda("filtered_lrelu");
}

bool line_decoder_cuda_supports(const LineDecoderCall&) {
  return false;
}
void line_decoder_forward_cuda(const LineDecoderCall&, const LineDecoderInputs&, void*,
                               const DeviceAllocator&, void*) {
  no_cuda("line_decoder");
}
void line_decoder_gradient_cuda(const LineDecoderCall&, const LineDecoderInputs&, const void*,
                                void*, void*, const DeviceAllocator&, void*) {
  no_cuda("line_decoder");
}
void line_decoder_curvature_cuda(const LineDecoderCall&, const LineDecoderInputs&, const void*,
                                 const void*, void*, void*, const DeviceAllocator&, void*) {
  no_cuda("line_decoder");
}

void minibatch_std_forward_cuda(const MinibatchStdCall&, const void*, void*, void*) {
  no_cuda("minibatch_std");
}
void minibatch_std_gradient_cuda(const MinibatchStdCall&, const void*, const void*, void*, void*) {
  no_cuda("minibatch_std");
}
void minibatch_std_curvature_cuda(const MinibatchStdCall&, const void*, const void*, const void*,
                                  void*, void*, void*) {
  no_cuda("minibatch_std");
}

void modulated_weight_forward_cuda(const ModulatedWeightCall&, const void*, const void*, void*,
                                   void*, void*) {
  no_cuda("modulated_weight");
}
void modulated_weight_gradient_cuda(const ModulatedWeightCall&, const ModulatedWeightPoint&,
                                    const void*, void*, void*, void*, void*) {
  no_cuda("modulated_weight");
}
void modulated_weight_curvature_cuda(const ModulatedWeightCall&, const ModulatedWeightPoint&,
                                     const void*, const void*, const void*, void*, void*, void*,
                                     void*, void*) {
  no_cuda("modulated_weight");
}

void adam_step_cuda(ElementType, void*, const void*, void*, int64_t, const AdamStep&, int64_t*,
                    void*) {
  no_cuda("adam_step");
}
void ema_update_cuda(ElementType, void*, const void*, int64_t, double, void*) {
  no_cuda("ema_update");
}
void mark_non_finite_cuda(ElementType, const void*, int64_t, int64_t, const SegmentMarks&, void*) {
  no_cuda("mark_non_finite");
}
void add_to_range_cuda(ElementType, void*, const RangePiece*, int64_t, void*) {
  no_cuda("add_to_range");
}
void fill_normal_cuda(ElementType, void*, const PhiloxRows&, int64_t, const PhiloxStream&,
                      const int32_t*, void*) {
  no_cuda("fill_normal");
}

void add_tally_cuda(ElementType, Tally, const void*, int64_t, void*, void*) {
  no_cuda("add_tally");
}

void upfirdn2d_cuda(const UpFirDnCall&, const void*, bool, double, const void*, void*, void*) {
  no_cuda("upfirdn2d");
}

}  // namespace galette

// SPDX-License-Identifier: Apache-2.0
// Metrics that look at a generator's images alone, in dB: the higher the better. All compute in
// full precision with constant noise, and leave the generator as it was. Collective; each returns
// the same value on all ranks, and, up to the rounding of a sum, on any number of them.
#pragma once

#include "metrics/metric_name.h"
#include "metrics/metric_setup.h"

namespace galette {

/// Equivariance of a StyleGAN3 generator (Karras et al. 2021, appendix E): PSNR between images that
/// it moved or turned itself and images that were moved or turned afterwards. Each batch has its
/// own motion: a shift of up to an eighth of the image along both axes, of whole pixels (eqt_int)
/// or any (eqt_frac), or a turn by any angle (eqr).
double equivariance(const Metric& metric, const MetricSetup& setup);

/// How well a CREPS generator's images of twice the size agree with those of its own size: PSNR
/// between the means of 2x2 pixels of the former and the pixels of the latter.
///
/// Grids of both sizes R and 2R go from one end of the unit interval to the other: pixel j lies at
/// j/(R-1), the mean of its two at (2j + 1/2)/(2R-1). These places agree in the middle and differ
/// by 1/(4R-2), a quarter of a pixel, at the ends; so even an exact generator of a picture that is
/// not flat has a finite value, to be compared with others of the same resolution only.
double scale_consistency(const Metric& metric, const MetricSetup& setup);

}  // namespace galette

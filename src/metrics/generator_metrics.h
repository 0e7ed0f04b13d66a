// SPDX-License-Identifier: Apache-2.0
// Metrics that look at a generator's images alone. All compute in full precision, with noise that
// is the same in the images they compare, and leave the generator as it was. Collective; each
// returns the same value on all ranks, and, up to the rounding of a sum, on any number of them.
#pragma once

#include "metrics/metric_name.h"
#include "metrics/metric_setup.h"

namespace galette {

/// In dB, the higher the better: equivariance of a StyleGAN3 generator (Karras et al. 2021,
/// appendix E): PSNR between images that it moved or turned itself and images that were moved or
/// turned afterwards. Each batch has its own motion: a shift of up to an eighth of the image along
/// both axes, of whole pixels (eqt_int) or any (eqt_frac), or a turn by any angle (eqr).
double equivariance(const Metric& metric, const MetricSetup& setup);

/// In dB, the higher the better: how well a CREPS generator's images of twice the size agree with
/// those of its own size: PSNR between the means of 2x2 pixels of the former and the pixels of the
/// latter.
///
/// Grids of both sizes R and 2R go from one end of the unit interval to the other: pixel j lies at
/// j/(R-1), the mean of its two at (2j + 1/2)/(2R-1). These places agree in the middle and differ
/// by 1/(4R-2), a quarter of a pixel, at the ends; so even an exact generator of a picture that is
/// not flat has a finite value, to be compared with others of the same resolution only.
double scale_consistency(const Metric& metric, const MetricSetup& setup);

/// Perceptual path length (Karras et al. 2019 and 2020a), the lower the better: how far images move
/// by LPIPS when w takes a small step from one random latent towards another, over the squared
/// step. Pair s has its own latents, label and noise. Images of more than 256 pixels are averaged
/// down to that before. Needs `setup.lpips`; throws InputError for images of less than 16 pixels.
double path_length(const Metric& metric, const MetricSetup& setup);

/// The mean of distances [n] without those below the first or above the last hundredth of them.
double mean_path_length(const at::Tensor& distances);

}  // namespace galette

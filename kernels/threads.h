// SPDX-License-Identifier: Apache-2.0
// at::parallel_for, for files that are compiled with the OpenMP that LibTorch's threads come from.
// Without it the loop would run on one thread and say nothing.
#pragma once

#include <ATen/Parallel.h>

#if AT_PARALLEL_OPENMP && !defined(_OPENMP)
#error "compile this file with OpenMP (-fopenmp)"
#endif

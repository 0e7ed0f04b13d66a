// SPDX-License-Identifier: Apache-2.0
// Marks the per-element formulas that the CPU and the CUDA bodies share. Forced inlining lets the
// compiler vectorise a CPU loop around them for the instruction set chosen in cpu_isa.h.
#pragma once

#ifdef __CUDACC__
#define GALETTE_HOST_DEVICE __host__ __device__ __attribute__((always_inline))
#else
#define GALETTE_HOST_DEVICE __attribute__((always_inline))
#endif

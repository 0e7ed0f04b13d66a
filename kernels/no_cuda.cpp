// SPDX-License-Identifier: Apache-2.0
// Stands in for the CUDA bodies in a build without CUDA: every entry point throws and says which
// option to set.

#!/usr/bin/env bash
# Sets everything up and runs all tests. Arguments go to ctest, such as `-R kernels`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools/setup.sh --slurm
ctest --test-dir "build/${GALETTE_PRESET:-release}" --output-on-failure "$@"

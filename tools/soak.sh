#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The long tests of what must survive: hours on two cores. Needs what tools/test.sh builds.
#
#   tools/soak.sh [kills|damage|slurm]...      all of them by default
#
#   kills    GALETTE_SOAK_SCHEDULES (100) runs that are killed at random, from GALETTE_SOAK_SEED (1)
#   damage   checkpoints cut at every 4 KiB, and with one of 1,000 bits flipped
#   slurm    all Slurm tests, also those with time limits and repeated preemption
#
# Writes build/soak/NAME.log, and ends with one line for each: NAME: passed or FAILED, and its time.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
. tools/mpi-env.sh

build=build/${GALETTE_PRESET:-release}
export GALETTE_SOAK_SEED=${GALETTE_SOAK_SEED:-1} OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
export OMPI_MCA_btl_vader_single_copy_mechanism=none

kills() {
  GALETTE_SOAK_SCHEDULES=${GALETTE_SOAK_SCHEDULES:-100} \
    "$build/tests/galette_restart_tests" --gtest_filter='KillMatrix*'
}

damage() {
  GALETTE_SOAK_TRUNCATION=4096 GALETTE_SOAK_FLIPS=1000 \
    "$build/tests/galette_io_tests" --gtest_filter='CheckpointDamage.*'
}

slurm() { GALETTE_SOAK=1 tests/slurm/slurm_test.py "$build/galette"; }

# Runs one of the functions above and says how it went.
soak() {
  local name=$1 begin=$SECONDS verdict=passed code
  "$name" >"build/soak/$name.log" 2>&1
  code=$?
  if [ $code -eq 77 ]; then
    verdict="skipped, see its log"
  elif [ $code -ne 0 ]; then
    verdict=FAILED
    failures=$((failures + 1))
  fi
  results+=("$name: $verdict after $((SECONDS - begin)) s (build/soak/$name.log)")
}

failures=0
results=()
mkdir -p build/soak
[ $# -gt 0 ] || set -- kills damage slurm
for name in "$@"; do
  case $name in
    kills | damage | slurm) soak "$name" ;;
    *) echo "tools/soak.sh: there is no '$name'; give kills, damage or slurm" >&2; exit 2 ;;
  esac
done
printf '%s\n' "${results[@]}"
[ $failures -eq 0 ]

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Trains without Slurm, inside a job of another scheduler or on plain hosts: starts mpirun, and
# starts it again after a saved stop or a crash, until the run is done.
#
#   jobs/train-mpirun.sh RUN_DIR OPTION...      options of `galette train`
#
#   GALETTE         the program, by default build/release/galette
#   GALETTE_MPIRUN  how to start it, by default `mpirun`; such as "mpirun -n 8 --hostfile hosts"
#   GALETTE_SITE    a file that is read first; see jobs/env/example.sh
#
# TERM, INT, USR1 or USR2 to this script: the ranks save, and it ends with 85. mpirun itself would
# leave them two seconds after a TERM; SIGUSR1 is passed on without harm.
set -uo pipefail

program=${GALETTE:-build/release/galette}
read -ra launcher <<<"${GALETTE_MPIRUN:-mpirun}"
if [ $# -eq 0 ]; then
  echo "train-mpirun.sh: name the run directory, then options of galette train" >&2
  exit 2
fi
run_dir=$1
options=("${@:2}")
stopping=0

# A scheduler that sends TERM to mpirun as well ends it; then at least give the ranks this long.
export OMPI_MCA_odls_base_sigkill_timeout=${OMPI_MCA_odls_base_sigkill_timeout:-60}

say() { printf 'train-mpirun.sh: %s\n' "$*"; }

# shellcheck disable=SC2317
forward() {
  interrupted=1
  stopping=1
  say "got SIG$1, passing SIGUSR1 on to the ranks"
  kill -USR1 "$ranks"
}

# setsid: what is sent to this script's group, such as Ctrl-C, must not reach mpirun.
train() {
  local code
  setsid "${launcher[@]}" "$program" train --run-dir="$run_dir" "${options[@]}" &
  ranks=$!
  for signal in TERM INT USR1 USR2; do
    # shellcheck disable=SC2064
    trap "forward $signal" "$signal"
  done
  interrupted=1
  while [ $interrupted -eq 1 ]; do
    interrupted=0
    wait "$ranks"
    code=$?
  done
  return $code
}

# The program notes each start that gets as far as the run, and refuses one more after three from
# the same checkpoint, with 86. A start that does not get there is not repeated.
starts() { cat "$run_dir/restarts.json" 2>/dev/null; }

# shellcheck source=/dev/null
if [ -n "${GALETTE_SITE:-}" ]; then . "$GALETTE_SITE"; fi
while true; do
  before=$(starts)
  train
  code=$?
  case $code in
    0 | 2 | 86) break ;;
    85) ;;
    *) if [ "$(starts)" = "$before" ]; then break; fi ;;
  esac
  if [ $stopping -eq 1 ]; then break; fi
  say "ended with $code: goes on from the last checkpoint"
done
say "ended with $code"
exit "$code"

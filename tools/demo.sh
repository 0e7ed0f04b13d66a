#!/usr/bin/env bash
# Sets everything up, packs the 3,926 pictures of Debian's emoji font at 32x32, and trains a small
# CREPS generator on them with two MPI ranks: some minutes on two cores. May be run again; each time
# makes a new run directory.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools/setup.sh
. tools/mpi-env.sh

demo=build/demo
data=$demo/emoji-32x32.h5
font=/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf
galette=build/${GALETTE_PRESET:-release}/galette

mkdir -p "$demo"
[ -e "$data" ] || "$galette" dataset --source="$font" --dest="$data" --resolution=32x32

mpirun -n 2 "$galette" train --outdir="$demo/runs" --cfg=creps --data="$data" --gpus=2 \
  --batch=16 --gamma=0.2 --cbase=1024 --cmax=64 --kimg=5 --tick=1 --snap=1 --desc=demo

run=$(ls -d "$demo"/runs/*-demo | tail -n 1)
printf '\nThe run is in %s; its pictures, from noise to emoji-like blobs of colour:\n' "$run"
ls "$run"/reals.png "$run"/fakes*.png

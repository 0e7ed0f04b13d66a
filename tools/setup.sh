#!/usr/bin/env bash
# Installs everything that Galette needs on Debian 12 or Ubuntu 24.04, and builds it. May be run
# again: what is there is kept. Needs root or sudo for Debian packages only.
#
#   GALETTE_CUDA=OFF tools/setup.sh    builds without CUDA (default: AUTO)
#   GALETTE_PRESET=debug               another preset of CMakePresets.json (default: release)
#   tools/setup.sh --slurm             also installs Slurm, whose daemons only the tests start
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

preset=${GALETTE_PRESET:-release}
cuda=${GALETTE_CUDA:-AUTO}
slurm=${1:-}
venv=.deps/venv

say() { printf '\n== %s\n' "$*"; }

is_installed() {
  dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q '^install ok installed$'
}

install_packages() {
  local packages=(build-essential ca-certificates cmake fonts-noto-color-emoji hdf5-tools libavcodec-dev
    libavformat-dev libavutil-dev libcli11-dev libfmt-dev libfreetype-dev libgmock-dev libgtest-dev
    libhdf5-openmpi-dev libjpeg-dev libopenmpi-dev libpng-dev libspdlog-dev libswscale-dev
    libtomlplusplus-dev libzip-dev ninja-build nlohmann-json3-dev openmpi-bin pkg-config procps
    python3 python3-venv zlib1g-dev)
  # Data of some tests, which are skipped without it; not every mirror has it.
  local data=dataset-fashion-mnist
  if [ "$slurm" = --slurm ]; then packages+=(munge slurm-wlm); fi
  local missing=() package
  for package in "${packages[@]}"; do
    is_installed "$package" || missing+=("$package")
  done
  if [ ${#missing[@]} -eq 0 ] && is_installed "$data"; then return; fi
  local run=()
  if [ "$(id -u)" -ne 0 ]; then run=(sudo); fi
  "${run[@]}" apt-get update -qq
  if apt-cache show "$data" >/dev/null 2>&1; then missing+=("$data"); fi
  [ ${#missing[@]} -eq 0 ] && return
  say "Debian packages: ${missing[*]}"
  "${run[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# Installs the wheels of a requirements file once; a change of the file installs them again.
install_wheels() {
  local list=tools/requirements-$1.txt stamp=$venv/installed-$1
  cmp -s "$list" "$stamp" && return
  say "Python wheels of $list"
  # Exactly the wheels named: LibTorch needs none of the Python packages that torch asks for.
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$list"
  cp "$list" "$stamp"
}

has_nvcc() {
  command -v nvcc >/dev/null || [ -x "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc" ]
}

# Wheels hold libcudart.so.13 without the plain name that a linker looks for, in lib where nvcc looks
# in lib64.
link_usual_names() {
  local folder library
  folder=$(echo "$venv"/lib/python3*/site-packages/nvidia/cu13)
  [ -e "$folder/lib64" ] || ln -s lib "$folder/lib64"
  for library in "$folder"/lib/lib*.so.*; do
    local plain=${library%%.so.*}.so
    [ -e "$plain" ] || ln -s "$(basename "$library")" "$plain"
  done
}

install_dependencies() {
  [ -x "$venv/bin/pip" ] || { mkdir -p .deps && python3 -m venv "$venv"; }
  install_wheels base
  if [ "$cuda" = AUTO ] && [ "$(uname -m)" != x86_64 ] && ! has_nvcc; then cuda=OFF; fi
  [ "$cuda" = OFF ] && return
  install_wheels cuda
  if ! has_nvcc; then
    install_wheels nvcc
    link_usual_names
  fi
}

build() {
  say "Configuring ($preset, CUDA $cuda)"
  cmake --preset "$preset" -DGALETTE_CUDA="$cuda"
  say "Building"
  cmake --build --preset "$preset"
}

install_packages
install_dependencies
build
say "Ready: build/$preset/galette"

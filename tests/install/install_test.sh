#!/usr/bin/env bash
# Installs a build into an empty folder, runs the installed program, and builds a program that uses
# the installed libraries: install_test.sh BUILD_FOLDER
set -euo pipefail
build=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
prefix=$dir/prefix

fail() {
  echo "install_test.sh: $*" >&2
  exit 1
}

cmake --install "$build" --prefix "$prefix" >"$dir/log" || fail "$(cat "$dir/log")"
for file in bin/galette include/galette/models/factory.h share/galette/jobs/train.sbatch \
  share/doc/galette/README.md share/doc/galette/LICENSE share/man/man1/galette.1 \
  share/bash-completion/completions/galette share/zsh/site-functions/_galette; do
  [ -e "$prefix/$file" ] || fail "$file was not installed"
done
[ -x "$prefix/share/galette/jobs/train-mpirun.sh" ] || fail "a job script lost its mode"
[ ! -e "$prefix/include/gtest" ] || fail "the tests' headers were installed"

# The program finds its libraries without the environment's help, and without the build folder's.
version=$(env -u LD_LIBRARY_PATH "$prefix/bin/galette" --version)
grep -q '^build type: ' <<<"$version" || fail "galette --version says: $version"
! readelf -d "$prefix/bin/galette" | grep -i 'r.*path' | grep -qF "$build" ||
  fail "the installed program looks for libraries in the build folder"

cmake -S "$here/consumer" -B "$dir/consumer" -DCMAKE_PREFIX_PATH="$prefix" >"$dir/log" 2>&1 ||
  fail "$(cat "$dir/log")"
cmake --build "$dir/consumer" >"$dir/log" 2>&1 || fail "$(cat "$dir/log")"
[ "$("$dir/consumer/consumer")" = 8x8 ] || fail "the consumer's image has other sides"

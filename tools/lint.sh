#!/usr/bin/env bash
# Formatting, layers and lint.
#
#   tools/lint.sh             formatting and layers of everything; clang-tidy on what differs from
#                             the base (GALETTE_LINT_BASE, else origin/main, else the last commit)
#   tools/lint.sh --all       clang-tidy on everything: about 15 s of one core for each file
#   tools/lint.sh FILE...     clang-tidy on these
#   tools/lint.sh --format    rewrites everything in the right format
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

build=build/${GALETTE_PRESET:-release}
venv=.deps/venv

install_tools() {
  local list=tools/requirements-lint.txt stamp=$venv/installed-lint
  cmp -s "$list" "$stamp" && [ -x "$venv/bin/clang-tidy" ] && return
  [ -x "$venv/bin/pip" ] || { mkdir -p .deps && python3 -m venv "$venv"; }
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$list"
  cp "$list" "$stamp"
}

sources() { find src io kernels tests -name '*.h' -o -name '*.cpp' -o -name '*.cu' | sort; }

changed_files() {
  local base=${GALETTE_LINT_BASE:-}
  if [ -z "$base" ]; then
    base=$(git merge-base HEAD origin/main 2>/dev/null || git rev-parse HEAD~1 2>/dev/null) || return 0
  fi
  git diff --name-only --diff-filter=d "$base" -- '*.cpp'
  git ls-files --others --exclude-standard -- '*.cpp'
}

# clang cannot read the compiler's precompiled header; each file includes what it needs by itself.
# It lacks a header of OpenMP, for which the compiler's does.
write_commands() {
  mkdir -p build/lint/include
  cp "$(g++ -print-file-name=include/omp.h)" build/lint/include
  sed -e 's/ -Winvalid-pch -include [^ ]*cmake_pch\.hxx//' \
    -e "s| -c | -isystem $PWD/build/lint/include -c |" "$build/compile_commands.json" \
    >build/lint/compile_commands.json
}

# Reads file names. Only C++ files that the build knows can be analysed.
tidy() {
  local file
  while read -r file; do
    if grep -qF "/$file\"" build/lint/compile_commands.json; then echo "$file"; fi
  done | xargs --no-run-if-empty -n 1 -P "$(nproc)" \
    "$venv/bin/clang-tidy" -p build/lint --quiet --warnings-as-errors='*'
}

install_tools
if [ "${1:-}" = --format ]; then
  sources | xargs "$venv/bin/clang-format" -i
  exit
fi
sources | xargs "$venv/bin/clang-format" --dry-run -Werror
tools/check_layers.py
[ -f "$build/compile_commands.json" ] || { echo "tools/lint.sh: run tools/setup.sh first" >&2; exit 1; }
write_commands
case "${1:-}" in
  --all) sources | tidy ;;
  "") changed_files | tidy ;;
  *) printf '%s\n' "$@" | tidy ;;
esac
echo "lint: clean"

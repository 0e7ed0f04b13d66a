#!/usr/bin/env python3
"""Checks what the folders promise: includes point down the stack only, kernels and io stay free of
libraries that are not theirs, only the command line and the logger print, every source file names
its licence, and the top level holds nothing unexpected. Prints one line per violation."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Each layer with the layers that it may include, besides itself.
BELOW = {
    "kernels": [],
    "io": [],
    "base": ["io", "kernels"],
    "parallel": ["base", "io", "kernels"],
    "models": ["base", "kernels"],
    "metrics": ["models", "parallel", "base", "io", "kernels"],
    "training": ["metrics", "models", "parallel", "base", "io", "kernels"],
    "cli": ["training", "metrics", "models", "parallel", "base", "io", "kernels"],
}
BELOW["main"] = ["cli", *BELOW["cli"]]
# The one header of io, of errors, that models may include.
EXCEPTIONS = {("models", "io/check.h")}

# Libraries that a layer must not see, by the beginning of the header's name.
FOREIGN = {
    "kernels": ["mpi", "hdf5", "nccl", "nlohmann/", "spdlog/", "CLI/", "png", "jpeg"],
    "models": ["mpi", "hdf5", "nccl", "spdlog/", "CLI/", "fstream", "filesystem"],
}
EVERYWHERE_FOREIGN = ["torch/torch.h", "torch/all.h"]  # half a minute of compilation for each file

MAY_PRINT = {"main", "cli", "base"}
PRINTS = re.compile(r"\b(std::cout|std::cerr|std::printf|printf|puts|fprintf|fmt::print)\b")
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.MULTILINE)

SOURCE_SUFFIXES = {".h", ".cpp", ".cu", ".cuh"}
LICENCE = "// SPDX-License-Identifier: Apache-2.0"

TOP_LEVEL = {
    "CMakeLists.txt", "CMakePresets.json", "README.md", "LICENSE",
    "src", "kernels", "io", "jobs", "tests", "tools",
    ".ci", ".clang-format", ".clang-tidy", ".editorconfig", ".gitignore", ".pre-commit-config.yaml",
}  # fmt: skip
UNTRACKED = {".git", ".deps", ".cache", "build", "compile_commands.json"}


def layer_of(path):
    """The layer of a source file: its top folder, or the folder below src."""
    parts = path.relative_to(ROOT).parts
    if parts[0] != "src":
        return parts[0]
    return parts[1] if len(parts) > 2 else path.stem


def check_include(path, layer, bracket, header):
    """Yields what is wrong with an include of a file in a layer."""
    if any(header.startswith(name) for name in FOREIGN.get(layer, []) + EVERYWHERE_FOREIGN):
        yield f"{layer} must not include {header}"
    if bracket == "<":
        return
    bases = [ROOT, ROOT / "src"] if layer in BELOW else [ROOT, ROOT / "src", path.parent]
    if not any((base / header).is_file() for base in bases):
        yield f"{header} does not exist; name it from the root or from src"
    target = header.split("/")[0]
    open_to_layer = {layer, *BELOW.get(layer, [target])}
    if target not in open_to_layer and (layer, header) not in EXCEPTIONS:
        yield f"{layer} must not include {header}"


def check_source(path):
    """Yields what is wrong with a source file."""
    text = path.read_text(encoding="utf-8")
    layer = layer_of(path)
    if not text.startswith(LICENCE + "\n"):
        yield f"must start with '{LICENCE}'"
    for bracket, header in INCLUDE.findall(text):
        yield from check_include(path, layer, bracket, header)
    if layer in BELOW and layer not in MAY_PRINT:
        code = re.sub(r"//.*", "", text)
        for name in sorted(set(PRINTS.findall(code))):
            yield f"{layer} must not print ({name}); throw or return instead"
    if layer not in BELOW and layer != "tests":
        yield f"lies outside the known layers ({', '.join(BELOW)})"


def main():
    problems = []
    for entry in sorted(ROOT.iterdir()):
        if entry.name not in TOP_LEVEL | UNTRACKED:
            problems.append(f"{entry.name}: does not belong in the top folder")
    for folder in ("src", "io", "kernels", "tests"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in SOURCE_SUFFIXES:
                problems += [f"{path.relative_to(ROOT)}: {what}" for what in check_source(path)]
    print(*problems, sep="\n", end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

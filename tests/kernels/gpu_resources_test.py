#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No kernel keeps registers in memory: gpu_resources_test.py CUOBJDUMP "ARCH ARCH..." OBJECT...

Reads what each function of the compiled .cu files uses, for each architecture, and fails on a stack
or local memory, to which the compiler moves what does not fit into registers. Ends with 77, skipped,
where there is no cuobjdump.
"""
import os
import re
import subprocess
import sys

SKIPPED = 77
# Sines of large arguments go through a table on the stack.
MAY_HAVE_A_STACK = {"philox_normal_cuda.cu"}


def resources(cuobjdump, path):
    """[(architecture, function, stack, local)] of an object file."""
    text = subprocess.run([cuobjdump, "-res-usage", path], check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    found, architecture, function = [], None, None
    for line in text.splitlines():
        if match := re.match(r"arch = sm_(\w+)", line):
            architecture = match[1]
        elif match := re.match(r" Function (.*):\s*$", line):
            function = match[1]
        elif match := re.search(r"STACK:(\d+).*LOCAL:(\d+)", line):
            found.append((architecture, function, int(match[1]), int(match[2])))
    return found


def faults(cuobjdump, architectures, path):
    name = os.path.basename(path).removesuffix(".o")
    found = resources(cuobjdump, path)
    for missing in architectures - {architecture for architecture, *_ in found}:
        yield f"{name}: no code for sm_{missing}"
    for architecture, function, stack, local in found:
        if (stack or local) and name not in MAY_HAVE_A_STACK:
            yield f"{name}: sm_{architecture}: {function}: {stack} bytes of stack, {local} local"


def main():
    cuobjdump, wanted, *paths = sys.argv[1:]
    # "90-virtual" and names of groups say nothing of which code there is.
    architectures = {match[1] for match in re.finditer(r"\b(\d+\w?)(?:-real)?(?= |$)", wanted)}
    if not os.access(cuobjdump, os.X_OK):
        print("NO CUOBJDUMP: what kernels use of a GPU is not tested; put cuobjdump in PATH")
        return SKIPPED
    objects = [path for path in paths if path.endswith(".cu.o")]
    assert objects, "no objects of .cu files were given"
    wrong = [f for path in objects for f in faults(cuobjdump, architectures, path)]
    print("\n".join(wrong) or f"{len(objects)} files: no kernel has a stack or local memory")
    return 1 if wrong else 0


sys.exit(main())

"""peak_memory.py FILE COMMAND...

Runs a command and writes the most memory in bytes that it, or a process that it waited for, held at
a time. Exits as the command does."""

import resource
import subprocess
import sys

code = subprocess.run(sys.argv[2:]).returncode
with open(sys.argv[1], "w") as file:
    # Linux counts in KiB.
    file.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024))
sys.exit(code)

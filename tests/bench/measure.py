"""Runs a command to its end on two cores, and says as one line of JSON what it took and what it printed.

    measure.py COMMAND [ARGUMENT ...]

CPU time is user and system, of all threads, and of children that it waited for; memory is the most that was resident at
once. Source: getrusage(2). The command is killed when this process is.
"""

import json
import os
import subprocess
import sys
import time

CORES = 2

os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
began = time.monotonic()
command = ["setpriv", "--pdeathsig", "KILL", "--", *sys.argv[1:]]
process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
output = process.stdout.read()
_, status, used = os.wait4(process.pid, 0)
wall = time.monotonic() - began
if status != 0:
    sys.exit(f"{sys.argv[1]} ended with {os.waitstatus_to_exitcode(status)}")
figures = {"wall_seconds": wall, "cpu_seconds": used.ru_utime + used.ru_stime, "peak_bytes": used.ru_maxrss * 1024}
print(json.dumps(figures | {"output": output}))

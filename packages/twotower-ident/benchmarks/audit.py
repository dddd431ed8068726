"""Time and memory of a whole audit, from the Parquet file to the written report, in a process of its own.

    python benchmarks/audit.py --rows 10000000 --out audit.json
    python benchmarks/audit.py --rows 100000000 --partitions 4 --out audit-1e8.json

Prints one table and writes one JSON. Targets: 10^7 rows in 25 s and 4 GiB, 10^8 in 120 s and 10 GiB, on two cores.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from click_logs import write_log
from ir_shared.console import print_table
from ir_shared.run_dir import hardware, versions, write_json

_PROGRAM = """
import resource, sys, time
start = time.perf_counter()
from twotower_ident import ClickLog, audit
log = ClickLog.scan(sys.argv[1])
report = audit(log, partitions=int(sys.argv[2]))
report.write(sys.argv[3], plots=False)
seconds = time.perf_counter() - start
used = resource.getrusage(resource.RUSAGE_SELF)
peak, cpu = used.ru_maxrss / 2**20, used.ru_utime + used.ru_stime
print(seconds, cpu, peak, report.n_cells, report.n_pairs, report.verdict)
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--partitions", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.parquet"
        start = time.perf_counter()
        write_log(log, options.rows)
        print(f"wrote {log.stat().st_size / 2**20:.0f} MiB in {time.perf_counter() - start:.0f} s", file=sys.stderr)
        runs = [_run(log, options.partitions, folder) for _ in range(options.repeat)]
    best = min(runs, key=lambda run: run["seconds"])
    columns = ["rows", "partitions", "seconds (best)", "of processor", "peak GiB", "cells", "load"]
    row = [
        options.rows,
        options.partitions,
        best["seconds"],
        best["cpu_seconds"],
        best["peak_gib"],
        best["cells"],
        best["load"],
    ]
    print_table("audit, file to report", columns, [row], left=0)
    if options.out is not None:
        about = {"hardware": hardware(), "versions": versions("twotower-ident")}
        write_json(options.out, {"rows": options.rows, "partitions": options.partitions, "runs": runs, **about})


def _run(log: Path, partitions: int, folder: str) -> dict[str, object]:
    load = os.getloadavg()[0]
    argv = [sys.executable, "-W", "ignore", "-c", _PROGRAM, str(log), str(partitions), f"{folder}/report"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    seconds, cpu, peak, cells, pairs, verdict = done.stdout.split()
    return {
        "seconds": float(seconds),
        "cpu_seconds": float(cpu),
        "peak_gib": float(peak),
        "cells": int(cells),
        "pairs": int(pairs),
        "verdict": verdict,
        "load": load,
    }


if __name__ == "__main__":
    main()

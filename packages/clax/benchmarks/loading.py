"""Loading: sessions per second on one core and peak memory, in order and shuffled, beside simpler ways to do the same.

    python benchmarks/loading.py [--sessions 10000000] [--out loading.json]

Every measurement runs in a process of its own, pinned to one core, so that its peak memory is its own. The log is
written once: uniform random ids, ten documents per session ("full") or one to ten ("ragged"). "Decode" is the floor:
the same columns decoded by Arrow and dropped. "Polars" and "rows" pad ids and clicks (no positions, no mask, no check)
in the two ways one would try first, on part of the log: lists to columns with polars, and a Python loop over rows.
Rates are medians of three passes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from clax.data import SessionData, Sessions, SessionWriter
from ir_shared.console import print_table
from ir_shared.run_dir import hardware, versions, write_json

POSITIONS = 10
PAIRS = 1_000_000
BATCH = 4096
PART = 200_000
TARGET_RATE, TARGET_MEMORY = 1.5e6, 2.0
TASKS = ("clax in order", "clax shuffled", "clax shuffled, read ahead", "decode", "polars", "rows")


def write_log(path: Path, sessions: int, ragged: bool) -> None:
    """Writes a log of uniformly random ids in parts of 100,000 sessions."""
    random = np.random.default_rng(0)
    with SessionWriter(path, {"num_pairs": PAIRS, "max_positions": POSITIONS}) as writer:
        for start in range(0, sessions, 100_000):
            n = min(100_000, sessions - start)
            lengths = random.integers(1, POSITIONS + 1, n) if ragged else np.full(n, POSITIONS)
            offsets = np.concatenate([[0], np.cumsum(lengths)])
            ids = random.integers(1, PAIRS + 1, offsets[-1]).astype(np.int32)
            queries = random.integers(0, 10_000, n).astype(np.int32)
            clicks = random.random(offsets[-1]) < 0.2
            writer.write(Sessions(offsets, clicks, ids, query_ids=queries))


def decode(path: Path) -> Iterator[int]:
    """Decodes the columns and drops them."""
    with pq.ParquetFile(path) as file:
        for part in file.iter_batches(1 << 16, use_threads=False):
            yield part.num_rows


def padded_by_polars(path: Path) -> Iterator[int]:
    """Pads by turning each list into columns."""
    import polars as pl

    for start in range(0, PART, 50_000):
        frame = pl.scan_parquet(path).slice(start, 50_000).collect()
        padded = frame.select(
            pl.col("query_doc_ids").list.to_struct(fields=[str(i) for i in range(POSITIONS)]).struct.unnest()
        )
        ids = padded.fill_null(0).to_numpy()
        clicks = frame.select(
            pl.col("clicks").list.to_struct(fields=[str(i) for i in range(POSITIONS)]).struct.unnest()
        )
        yield len(ids) if clicks.fill_null(False).to_numpy().shape == ids.shape else 0


def padded_by_rows(path: Path) -> Iterator[int]:
    """Pads in a loop over sessions."""
    with pq.ParquetFile(path) as file:
        for part in file.iter_batches(BATCH, use_threads=False):
            ids = np.zeros((part.num_rows, POSITIONS), np.int32)
            clicks = np.zeros((part.num_rows, POSITIONS), bool)
            for i, row in enumerate(part.to_pylist()):
                n = len(row["query_doc_ids"])
                ids[i, :n] = row["query_doc_ids"]
                clicks[i, :n] = row["clicks"]
            yield part.num_rows


def loaded_by_clax(path: Path, *, shuffle: int | None, read_ahead: bool) -> Iterator[int]:
    """Iterates over batches as training does."""
    data = SessionData.from_parquet(path, batch_size=BATCH, shuffle=shuffle, read_ahead=read_ahead)
    for batch in data:
        yield len(batch.mask)


def measure(task: str, path: Path, sessions: int, passes: int) -> dict[str, float]:
    """Runs one task several times in this process."""
    tasks: dict[str, Callable[[], Iterator[int]]] = {
        "clax in order": lambda: loaded_by_clax(path, shuffle=None, read_ahead=False),
        "clax shuffled": lambda: loaded_by_clax(path, shuffle=0, read_ahead=False),
        "clax shuffled, read ahead": lambda: loaded_by_clax(path, shuffle=0, read_ahead=True),
        "decode": lambda: decode(path),
        "polars": lambda: padded_by_polars(path),
        "rows": lambda: padded_by_rows(path),
    }
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    limit = PART if task in ("polars", "rows") else sessions
    wall, cpu = [], []
    for _ in range(passes):
        start, used, seen = time.perf_counter(), time.process_time(), 0
        for rows in tasks[task]():
            seen += rows
            if seen >= limit:
                break
        wall.append(limit / (time.perf_counter() - start))
        cpu.append(limit / (time.process_time() - used))
    return {
        "rate": statistics.median(wall),
        "slowest": min(wall),
        "rate_of_cpu": statistics.median(cpu),
        "memory_gib": peak_memory(),
        "sessions": limit,
    }


def peak_memory() -> float:
    """The most memory this process has held, in GiB."""
    status = Path("/proc/self/status")
    if status.exists():  # on Linux getrusage() starts from what the parent held when it forked
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def in_own_process(task: str, path: Path, sessions: int, passes: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--task", task, "--log", str(path), "--sessions", str(sessions)]
    environment = {**os.environ, "POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "--passes", str(passes)], check=True, capture_output=True, text=True, env=environment
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=10_000_000)
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("loading.json"))
    parser.add_argument("--task", choices=TASKS, help=argparse.SUPPRESS)
    parser.add_argument("--log", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.task:
        print(json.dumps(measure(arguments.task, arguments.log, arguments.sessions, arguments.passes)))
        return
    load_before = os.getloadavg()[0]
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for ragged in (False, True):
            path = Path(folder) / "log.parquet"
            write_log(path, arguments.sessions, ragged)
            for task in TASKS:
                found = in_own_process(task, path, arguments.sessions, arguments.passes)
                size = path.stat().st_size / arguments.sessions
                results.append(
                    {"log": "ragged" if ragged else "full", "task": task, "bytes_per_session": size, **found}
                )
    rows = [
        [r["log"], r["task"], r["rate"] / 1e6, r["slowest"] / 1e6, r["rate_of_cpu"] / 1e6, r["memory_gib"]]
        for r in results
    ]
    title = f"{arguments.sessions:,} sessions; target {TARGET_RATE / 1e6} M/s on one core, {TARGET_MEMORY} GiB"
    columns = ["log", "task", "M sessions/s", "slowest", "per CPU second", "peak GiB"]
    print_table(title, columns, rows, left=2)
    about = {"hardware": hardware(), "load": [load_before, os.getloadavg()[0]], "versions": versions("clax")}
    write_json(arguments.out, {**about, "results": results})


if __name__ == "__main__":
    main()

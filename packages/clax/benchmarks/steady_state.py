"""Training speed: first call, steady state and distance to memory bandwidth, for every model.

    python benchmarks/steady_state.py [--models pbm,ubm,...] [--positions 10,22] [--batch 4096] [--pairs 100000]
                                      [--sparse] [--out steady_state.json] [--json]

A step is one AdamW update of all weights from one batch of uniformly random pairs; batches are arguments of the
compiled step, so nothing about them is known to the compiler. "First call" includes tracing, compiling and running. The
bound is what must at least be moved per step: AdamW reads and writes weights and two moments and reads a gradient that
was written (8 numbers a row and table), and the batch is read once. The bandwidth is that of copying 256 MiB.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from clax.batch import Batch, make_batch
from clax.models import MODEL_NAMES, ClickModel, build_model
from clax.steps import adamw, dense_step, sparse_step, validation_terms
from ir_shared.console import print_json, print_table
from ir_shared.run_dir import hardware, versions, write_json

BATCHES = 8
BLOCKS = 5


def main() -> None:
    """Measures and prints."""
    options = _options()
    rows = [
        measure(name, positions, options.batch, options.pairs, sparse=options.sparse)
        for positions in options.positions
        for name in options.models
    ]
    if options.json:
        print(json.dumps(rows))
        return
    report = {"rows": rows, "bandwidth_gb_s": bandwidth(), "hardware": hardware(), "versions": versions("clax")}
    for row in rows:
        row["of_bandwidth"] = row["bound_bytes"] / min(row["step_s"]) / (1e9 * report["bandwidth_gb_s"])
    head = [
        "model",
        "positions",
        "first call s",
        "step ms",
        "spread ms",
        "sessions/s",
        "eval sessions/s",
        "of bandwidth",
    ]
    print_table(f"training, batch {options.batch}, {options.pairs} pairs", head, [_cells(row) for row in rows])
    write_json(options.out, report)
    print_json({"bandwidth_gb_s": report["bandwidth_gb_s"], "written": options.out})


def measure(name: str, positions: int, batch_size: int, pairs: int, *, sparse: bool = False) -> dict[str, Any]:
    """One model at one list length; times in seconds, one per block of steps."""
    model = build_model(name, pairs, positions)
    data = random_batches(positions, batch_size, pairs)
    optimizer = adamw(3e-3, 1e-4)
    params = model.init(jax.random.key(0))
    state = optimizer.init(params)
    make = sparse_step if sparse else dense_step
    step, scale = make(model, optimizer, "document"), jnp.zeros(())
    start = time.perf_counter()
    params, state, _ = jax.block_until_ready(step(params, state, data[0], scale))
    first = time.perf_counter() - start
    blocks = []
    for _ in range(BLOCKS):
        start = time.perf_counter()
        for batch in data:
            params, state, _ = step(params, state, batch, scale)
        jax.block_until_ready(params)
        blocks.append((time.perf_counter() - start) / len(data))
    return {
        "model": name,
        "positions": positions,
        "first_s": first,
        "step_s": blocks,
        "sessions_per_s": batch_size / min(blocks),
        "evaluated_per_s": batch_size / _evaluation(model, params, data),
        "bound_bytes": _bound(params, data[0]),
    }


def random_batches(positions: int, batch_size: int, pairs: int) -> list[Batch]:
    """Full lists of uniformly random pairs with 15 % clicks, on the device."""
    random = np.random.default_rng(0)
    shape = (batch_size, positions)
    host = [
        make_batch(random.integers(1, pairs + 1, shape), clicks=random.random(shape) < 0.15) for _ in range(BATCHES)
    ]
    return [jax.tree.map(jnp.asarray, batch) for batch in host]


def bandwidth() -> float:
    """Gigabytes read and written per second by copying, the best of five."""
    source = np.ones(1 << 25)
    target = np.zeros_like(source)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        np.copyto(target, source)
        times.append(time.perf_counter() - start)
    return float(2 * source.nbytes / min(times) / 1e9)


def _evaluation(model: ClickModel, params: Any, data: list[Batch]) -> float:
    terms = validation_terms(model, "document")
    jax.block_until_ready(terms(params, data[0]))
    times = []
    for _ in range(BLOCKS):
        start = time.perf_counter()
        jax.block_until_ready([terms(params, batch) for batch in data])
        times.append((time.perf_counter() - start) / len(data))
    return min(times)


def _bound(params: Any, batch: Batch) -> int:
    return 8 * sum(x.nbytes for x in jax.tree.leaves(params)) + sum(x.nbytes for x in jax.tree.leaves(batch))


def _cells(row: dict[str, Any]) -> list[Any]:
    best, worst = 1e3 * min(row["step_s"]), 1e3 * max(row["step_s"])
    rates = [f"{row[key]:,.0f}" for key in ("sessions_per_s", "evaluated_per_s")]
    return [row["model"], row["positions"], row["first_s"], best, worst - best, *rates, row["of_bandwidth"]]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=lambda text: text.split(","), default=list(MODEL_NAMES))
    parser.add_argument("--positions", type=lambda text: [int(x) for x in text.split(",")], default=[10, 22])
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--sparse", action="store_true", help="update only the rows of the batch")
    parser.add_argument("--out", default="steady_state.json")
    parser.add_argument("--json", action="store_true", help="print the raw rows only")
    return parser.parse_args()


if __name__ == "__main__":
    main()

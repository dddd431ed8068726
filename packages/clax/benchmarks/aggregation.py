"""Exact aggregation: how far a log shrinks, what counting costs, and what training and EM gain.

    python benchmarks/aggregation.py [--sessions 1000000] [--queries 1000] [--out aggregation.json]

"Epoch" is one pass of training over the log in batches of 4096 sessions, and over its cells in batches of as many
ranks; "EM" one iteration over the same. Both after compiling. The likelihoods of one set of weights on the log and on
its cells must agree.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
from clax.aggregation import aggregate
from clax.batch import ArrayBatches, batches
from clax.em import expected_counts
from clax.em.expectation import tabular_parameters
from clax.fit_result import TrainConfig
from clax.models import ClickModel
from clax.simulation import make_world
from clax.training import train
from ir_shared.console import print_table
from ir_shared.run_dir import hardware, versions, write_json

BATCH = 4096


def main() -> None:
    """Measures, prints one table, and exits with 4 if the likelihoods disagree."""
    options = _options()
    rows = [_measure(name, options) for name in ("dctr", "pbm", "ubm")]
    heads = [
        "model",
        "ranks",
        "cells",
        "counting s",
        "epoch s",
        "epoch on cells s",
        "EM s",
        "EM on cells s",
        "disagreement",
    ]
    print_table(f"aggregation of {options.sessions} sessions", heads, [[row[h] for h in heads] for row in rows])
    write_json(options.out, {"rows": rows, "hardware": hardware(), "versions": versions("clax")})
    sys.exit(4 if any(row["disagreement"] > 1e-9 for row in rows) else 0)


def _measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    world = make_world(name, queries=options.queries, seed=1)
    log = world.sessions(options.sessions, seed=2)._replace(labels=None, query_ids=None)
    sessions = batches(log, BATCH)
    seconds, table = _timed(lambda: aggregate(sessions, world.model))
    cells = batches(table, BATCH * log.mask.shape[1])
    logits = {key: p.row_logits(world.params[key]) for key, p in tabular_parameters(world.model).items()}
    passes = {"EM s": sessions, "EM on cells s": cells}
    for data in passes.values():
        expected_counts(world.model, logits, [next(iter(data))])
    timed = {key: _timed(lambda d=data: expected_counts(world.model, logits, d)[:2]) for key, data in passes.items()}
    (total, weight), (again, _) = (result for _, result in timed.values())
    return {
        "model": name,
        "ranks": int(log.mask.sum()),
        "cells": len(table.mask),
        "counting s": seconds,
        "epoch s": _epoch(world.model, sessions),
        "epoch on cells s": _epoch(world.model, cells),
        **{key: duration for key, (duration, _) in timed.items()},
        "disagreement": abs(total - again) / weight,
    }


def _epoch(model: ClickModel, data: ArrayBatches) -> float:
    """Seconds of a second epoch."""
    ends: list[float] = []
    train(model, data, config=TrainConfig(epochs=2), on_epoch=lambda s: ends.append(_now(s)))
    return ends[1] - ends[0]


def _now(state: Any) -> float:
    jax.block_until_ready(state.params)
    return time.perf_counter()


def _timed(function: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--out", default="aggregation.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()

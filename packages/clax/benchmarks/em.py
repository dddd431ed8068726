"""EM: this package beside the literal way, a Python loop over sessions and ranks, and beside training by gradient.

    python benchmarks/em.py [--sessions 20000] [--queries 100] [--out em.json]

The literal loop is our own writing of what classic implementations do: visit every rank of every session, add its
posterior to dictionaries of counts, divide at the end. It runs on part of the log and is scaled up. Both start from the
same weights, and their weights after one iteration must agree. "Gradient" is the time that training takes to reach the
likelihood (per document, less 1e-4) that EM has after 50 iterations.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from clax.batch import Batch, batches
from clax.em import fit_em
from clax.fit_result import TrainConfig
from clax.losses import loss_terms
from clax.models import ClickModel
from clax.parameters import PseudoCounts, row_probabilities
from clax.simulation import make_world
from clax.training import train
from ir_shared.console import print_table
from ir_shared.run_dir import hardware, versions, write_json

LITERAL_SESSIONS = 2000
ITERATIONS = 50
Rows = list[dict[int, float]]


def main() -> None:
    """Measures, prints one table, and exits with 4 if the loop disagrees with the package."""
    options = _options()
    rows = [_compare(name, options) for name in ("pbm", "ubm", "dcm", "ccm", "dbn", "sdbn")]
    heads = [
        "model",
        "ms/iteration",
        "loop ms/iteration",
        "times faster",
        "disagreement",
        "50 iterations s",
        "gradient s",
    ]
    print_table(f"EM on {options.sessions} sessions of 10 ranks", heads, [[row.get(h) for h in heads] for row in rows])
    write_json(options.out, {"rows": rows, "hardware": hardware(), "versions": versions("clax")})
    sys.exit(4 if any(row.get("disagreement", 0) > 1e-6 for row in rows) else 0)


def _compare(name: str, options: argparse.Namespace) -> dict[str, Any]:
    world = make_world(name, queries=options.queries, seed=1)
    log = world.sessions(options.sessions, seed=2)
    whole, few = [log], [Batch(*(x if x is None else x[:LITERAL_SESSIONS] for x in log))]
    model = world.model
    fit_em(model, whole, iterations=1, prior=PseudoCounts())
    start = time.perf_counter()
    fit = fit_em(model, whole, iterations=ITERATIONS, prior=PseudoCounts())
    seconds = time.perf_counter() - start
    row: dict[str, Any] = {"model": name, "50 iterations s": seconds, "ms/iteration": 1e3 * seconds / (ITERATIONS + 1)}
    row["gradient s"] = _gradient_seconds(model, log, fit.log_likelihood[-1] / log.mask.sum() - 1e-4)
    if name in LOOPS:
        initial = {key: p.from_row_logits(np.zeros(p.rows)) for key, p in model.parameters().items()}
        ours = fit_em(model, few, iterations=1, prior=PseudoCounts(), params=initial).params
        found = [row_probabilities(p, ours[key]) for key, p in model.parameters().items()]  # type: ignore[arg-type]
        start = time.perf_counter()
        literal = LOOPS[name](few[0])
        scale = options.sessions / LITERAL_SESSIONS
        row["loop ms/iteration"] = 1e3 * (time.perf_counter() - start) * scale
        row["times faster"] = row["loop ms/iteration"] / row["ms/iteration"]
        gaps = [abs(a[k] - p) for a, b in zip(found, literal, strict=True) for k, p in b.items()]
        row["disagreement"] = float(max(gaps))
    return row


def _gradient_seconds(model: ClickModel, log: Batch, target: float) -> float | None:
    """Seconds, first call included, until the training likelihood is reached; None if 60 epochs do not."""
    start, reached = time.perf_counter(), []

    class Enough(Exception):  # noqa: N818
        pass

    def look(state: Any) -> None:
        total, weight = loss_terms(model, state.params, log)
        if -float(total) / float(weight) >= target:
            reached.append(time.perf_counter() - start)
            raise Enough

    try:
        config = TrainConfig(lr=0.03, weight_decay=0.0, epochs=60)
        train(model, batches(log, 512, shuffle=0), config=config, on_epoch=look)
    except Enough:
        return reached[0]
    return None


def loop_pbm(log: Batch) -> Rows:
    """One iteration for PBM from one half everywhere."""
    return _loop_examination(log, lambda position, last: position)


def loop_ubm(log: Batch) -> Rows:
    """One iteration for UBM from one half everywhere."""
    return _loop_examination(log, lambda position, last: position * (log.mask.shape[1] + 1) + last)


def _loop_examination(log: Batch, row: Callable[[int, int], int]) -> Rows:
    sums: list[dict[int, list[float]]] = [{}, {}]
    for pairs, positions, clicks in zip(*(x.tolist() for x in log[:3]), strict=True):
        last = 0
        for pair, position, click in zip(pairs, positions, clicks, strict=True):
            a = t = 0.5
            posteriors = (1.0, 1.0) if click else (a * (1 - t) / (1 - a * t), t * (1 - a) / (1 - a * t))
            for table, key, posterior in zip(sums, (pair, row(position, last)), posteriors, strict=True):
                count = table.setdefault(key, [1.0, 2.0])
                count[0] += posterior
                count[1] += 1.0
            last = position if click else last
    return [{key: count[0] / count[1] for key, count in table.items()} for table in sums]


def loop_dbn(log: Batch) -> Rows:
    """One iteration for DBN from one half everywhere: a forward and a backward pass over each session."""
    attraction: dict[int, list[float]] = {}
    satisfaction: dict[int, list[float]] = {}
    going_on = [1.0, 2.0]
    a = s = g = 0.5
    for pairs, _, clicks in zip(*(x.tolist() for x in log[:3]), strict=True):
        n = len(pairs)
        after = [(1.0, 1.0)] * (n + 1)  # P(clicks from r on | examined), and whether there is none
        for r in range(n - 1, -1, -1):
            b, z = after[r + 1]
            if clicks[r]:
                after[r] = (a * (g * (1 - s) * b + (1 - g * (1 - s)) * z), 0.0)
            else:
                after[r] = ((1 - a) * (g * b + (1 - g) * z), z)
        examined, left = 1.0, 0.0
        for r in range(n):
            b, z = after[r]
            here = examined * b / (examined * b + left * z)
            _add(attraction, pairs[r], float(clicks[r]), 1.0 if clicks[r] else here)
            b, z = after[r + 1]
            if clicks[r]:
                total = s * z + (1 - s) * (g * b + (1 - g) * z)
                satisfied = s * z / total if r + 1 < n else s
                _add(satisfaction, pairs[r], satisfied, 1.0)
                stays, chances = (1 - s) * g * b / total, 1 - satisfied
                examined, left = examined * a * g * (1 - s), examined * a * (1 - g * (1 - s))
            else:
                stays, chances = here * g * b / (g * b + (1 - g) * z), here
                left += examined * (1 - a) * (1 - g)
                examined *= (1 - a) * g
            if r + 1 < n:
                going_on[0] += stays
                going_on[1] += chances
    tables = [{key: c[0] / c[1] for key, c in table.items()} for table in (attraction, satisfaction)]
    return [*tables, {0: going_on[0] / going_on[1]}]


def _add(table: dict[int, list[float]], key: int, event: float, chance: float) -> None:
    count = table.setdefault(key, [1.0, 2.0])
    count[0] += event
    count[1] += chance


LOOPS: dict[str, Callable[[Batch], Rows]] = {"pbm": loop_pbm, "ubm": loop_ubm, "dbn": loop_dbn}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=20_000)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--out", default="em.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()

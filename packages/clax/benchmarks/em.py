"""EM: this package beside the classic way, a Python loop over sessions and ranks, and beside training by gradient.

    python benchmarks/em.py [--sessions 20000] [--queries 100] [--out em.json]

The loop is the one that the package's claims are timed against (:mod:`clax.claims.classic_em`): visit every rank of
every session, add its posteriors to their counts, divide at the end. It keeps lists of floats, and is therefore leaner
than the field's implementations, which find an object by name for every rank and go through the rest of the session
again for every parameter. It runs on part of the log, the best of three times, and is scaled up. Both start from one
half everywhere, and must agree after one iteration. "Gradient" is the time that training takes, first call included, to
reach the likelihood (per document, less 1e-4) that EM has after 50 iterations.

PBM and UBM gain from aggregation too; DBN, whose sessions are all different, cannot, and stays below a hundred times.
Of its E-step (some 8 ms for 200,000 ranks when the machine is idle) about a third is the forward-backward recursion, a
quarter looking rows up and adding to them, and the rest forming and transposing columns of float64.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import numpy as np
from clax.batch import Batch, batches
from clax.claims.classic_em import CLASSIC, sessions, start
from clax.em import fit_em
from clax.em.expectation import tabular_parameters
from clax.fit_result import TrainConfig
from clax.losses import loss_terms
from clax.models import ClickModel
from clax.parameters import PseudoCounts, row_probabilities
from clax.simulation import make_world
from clax.training import train
from ir_shared.console import print_table
from ir_shared.run_dir import hardware, versions, write_json

LOOPED_SESSIONS = 2000
ITERATIONS = 50


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
    whole, few = [log], [Batch(*(x if x is None else x[:LOOPED_SESSIONS] for x in log))]
    model = world.model
    fit_em(model, whole, iterations=1, prior=PseudoCounts())
    began = time.perf_counter()
    fit = fit_em(model, whole, iterations=ITERATIONS, prior=PseudoCounts())
    seconds = time.perf_counter() - began
    row: dict[str, Any] = {"model": name, "50 iterations s": seconds, "ms/iteration": 1e3 * seconds / (ITERATIONS + 1)}
    row["gradient s"] = _gradient_seconds(model, log, fit.log_likelihood[-1] / log.mask.sum() - 1e-4)
    if name in CLASSIC:
        tables = tabular_parameters(model)
        initial = {key: p.from_row_logits(np.zeros(p.rows)) for key, p in tables.items()}
        ours = fit_em(model, few, iterations=1, prior=PseudoCounts(), params=initial).params
        halves = start({key: p.rows for key, p in tables.items()})
        plain = sessions(few[0])
        times = []
        for _ in range(3):
            began = time.perf_counter()
            looped = CLASSIC[name](halves, plain)
            times.append(time.perf_counter() - began)
        row["loop ms/iteration"] = 1e3 * min(times) * options.sessions / len(plain)
        row["times faster"] = row["loop ms/iteration"] / row["ms/iteration"]
        gaps = [np.abs(looped[key] - row_probabilities(p, ours[key])).max() for key, p in tables.items()]
        row["disagreement"] = float(max(gaps))
    return row


def _gradient_seconds(model: ClickModel, log: Batch, target: float) -> float | None:
    """Seconds, first call included, until the training likelihood is reached; None if 60 epochs do not."""
    began, reached = time.perf_counter(), []

    class Enough(Exception):  # noqa: N818
        pass

    def look(state: Any) -> None:
        total, weight = loss_terms(model, state.params, log)
        if -float(total) / float(weight) >= target:
            reached.append(time.perf_counter() - began)
            raise Enough

    try:
        config = TrainConfig(lr=0.03, weight_decay=0.0, epochs=60)
        train(model, batches(log, 512, shuffle=0), config=config, on_epoch=look)
    except Enough:
        return reached[0]
    return None


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=20_000)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--out", default="em.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""EM: this package beside the literal way, a Python loop over sessions and ranks, and beside training by gradient.

    python benchmarks/em.py [--sessions 20000] [--queries 100] [--out em.json]

The literal loop is our own writing of what classic implementations do: visit every rank of every session, look its
parameters up by name, add its posteriors to their counts, divide at the end. (It is leaner than those: they go through
the rest of the session again for every parameter.) It runs on part of the log, the best of three times, and is scaled
up. Both start from one half everywhere, and must agree after one iteration. "Gradient" is the time that training takes,
first call included, to reach the likelihood (per document, less 1e-4) that EM has after 50 iterations.

PBM and UBM gain from aggregation too; DBN, whose sessions are all different, cannot, and stays below a hundred times.
Of its E-step (some 8 ms for 200,000 ranks when the machine is idle) about a third is the forward-backward recursion, a
quarter looking rows up and adding to them, and the rest forming and transposing columns of float64.
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
        times = []
        for _ in range(3):
            start = time.perf_counter()
            literal = LOOPS[name](few[0])
            times.append(time.perf_counter() - start)
        row["loop ms/iteration"] = 1e3 * min(times) * options.sessions / LITERAL_SESSIONS
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


class Share:
    """A probability as classic implementations keep it: an object with counts, found by name for every rank."""

    def __init__(self) -> None:
        self.value, self.events, self.chances = 0.5, 1.0, 2.0

    def update(self, event: float, chance: float) -> None:
        """Adds to the counts of this iteration."""
        self.events += event
        self.chances += chance

    def finish(self) -> float:
        """The next value."""
        return self.events / self.chances


class Literal:
    """EM as classic implementations write it: every session is visited, every rank asks for its parameters by name."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.tables: dict[str, dict[int, Share]] = {name: {} for name in names}

    def get(self, name: str, row: int) -> Share:
        """The parameter of a row."""
        return self.tables[name].setdefault(row, Share())

    def result(self) -> Rows:
        """All probabilities after the iteration, in the order of the names."""
        return [{row: share.finish() for row, share in table.items()} for table in self.tables.values()]


def loop_pbm(log: Batch) -> Rows:
    """One iteration for PBM."""
    return _loop_examination(log, lambda position, _: position)


def loop_ubm(log: Batch) -> Rows:
    """One iteration for UBM."""
    return _loop_examination(log, lambda position, last: position * (log.mask.shape[1] + 1) + last)


def _loop_examination(log: Batch, row: Callable[[int, int], int]) -> Rows:
    literal = Literal(("attraction", "examination"))
    for pairs, positions, clicks in zip(*(x.tolist() for x in log[:3]), strict=True):
        last = 0
        for pair, position, click in zip(pairs, positions, clicks, strict=True):
            attraction, examination = literal.get("attraction", pair), literal.get("examination", row(position, last))
            a, t = attraction.value, examination.value
            attraction.update(1.0 if click else a * (1 - t) / (1 - a * t), 1.0)
            examination.update(1.0 if click else t * (1 - a) / (1 - a * t), 1.0)
            last = position if click else last
    return literal.result()


def loop_dbn(log: Batch) -> Rows:
    """One iteration for DBN: a backward and a forward pass over each session."""
    literal = Literal(("attraction", "satisfaction", "continuation"))
    for pairs, _, clicks in zip(*(x.tolist() for x in log[:3]), strict=True):
        after = _backward(literal, pairs, clicks)
        gamma = literal.get("continuation", 0)
        g, examined, left = gamma.value, 1.0, 0.0
        for r, (pair, click) in enumerate(zip(pairs, clicks, strict=True)):
            attraction, satisfaction = literal.get("attraction", pair), literal.get("satisfaction", pair)
            a, s = attraction.value, satisfaction.value
            here = examined * after[r][0] / (examined * after[r][0] + left * after[r][1])
            b, z = after[r + 1]
            seen = r + 1 < len(pairs)  # what is drawn after the last rank cannot be seen
            if click:
                attraction.update(1.0, 1.0)
                total = s * z + (1 - s) * (g * b + (1 - g) * z)
                if seen:
                    satisfaction.update(s * z / total, 1.0)
                    gamma.update((1 - s) * g * b / total, 1 - s * z / total)
                examined, left = examined * a * g * (1 - s), examined * a * (1 - g * (1 - s))
            else:
                attraction.update(0.0, here)
                if seen:
                    gamma.update(here * g * b / (g * b + (1 - g) * z), here)
                examined, left = examined * (1 - a) * g, left + examined * (1 - a) * (1 - g)
    return literal.result()


def _backward(literal: Literal, pairs: list[int], clicks: list[bool]) -> list[tuple[float, float]]:
    """By rank: the probability of the clicks from there on if it is examined, and whether there is none."""
    after = [(1.0, 1.0)] * (len(pairs) + 1)
    g = literal.get("continuation", 0).value
    for r in range(len(pairs) - 1, -1, -1):
        a, s = literal.get("attraction", pairs[r]).value, literal.get("satisfaction", pairs[r]).value
        b, z = after[r + 1]
        on = g * (1 - s) if clicks[r] else g
        after[r] = ((a if clicks[r] else 1 - a) * (on * b + (1 - on) * z), 0.0 if clicks[r] else z)
    return after


LOOPS: dict[str, Callable[[Batch], Rows]] = {"pbm": loop_pbm, "ubm": loop_ubm, "dbn": loop_dbn}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=20_000)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--out", default="em.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()

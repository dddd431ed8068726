"""The simulator against a literal loop over sessions: seconds and ratio for cells at several exploration rates.

    python benchmarks/simulator.py [--sessions 1000000] [--out simulator.json]

The loop draws every session as a program without thought would: a query, an order, a click for each document. It runs
on a part of the sessions, and its time is scaled up.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from ir_shared.console import print_table
from ir_shared.run_dir import hardware, write_json
from twotower_ident.policies import EpsilonGreedy
from twotower_ident.simulate import ClickWorld, simulate_cells

QUERIES, DOCS = 18_900, 25
LOOP_SESSIONS = 20_000


def world() -> ClickWorld:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, QUERIES * DOCS).astype(float)
    offsets = np.arange(QUERIES + 1) * DOCS
    bias = -np.log(np.arange(1, DOCS + 1))
    return ClickWorld(offsets, labels - 2, labels, bias, tuple(str(q) for q in range(QUERIES)))


def loop(given: ClickWorld, temperature: float, sessions: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    cells = np.zeros((len(given.relevance), DOCS, 2))
    for _ in range(sessions):
        query = rng.integers(QUERIES)
        pairs = np.arange(given.offsets[query], given.offsets[query + 1])
        order = np.argsort(-given.scores[pairs], kind="stable")
        if rng.random() < temperature:
            order = rng.permutation(DOCS)
        shown = pairs[order]
        clicks = rng.binomial(1, 1 / (1 + np.exp(-(given.relevance[shown] + given.position_bias))))
        cells[shown, np.arange(DOCS), 0] += 1
        cells[shown, np.arange(DOCS), 1] += clicks
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--out", default=None)
    asked = parser.parse_args()
    given, rows = world(), []
    for temperature in (0.0, 1 / 3, 1.0):
        start = time.perf_counter()
        cells = simulate_cells(given, EpsilonGreedy(temperature), sessions=asked.sessions, seed=1)
        ours = time.perf_counter() - start
        start = time.perf_counter()
        loop(given, temperature, LOOP_SESSIONS)
        literal = (time.perf_counter() - start) * asked.sessions / LOOP_SESSIONS
        rows.append((f"{temperature:.2f}", cells.n_cells, ours, literal, literal / ours))
    heads = ("temperature", "cells", "seconds", "loop_seconds", "ratio")
    print_table(f"{asked.sessions} sessions x {DOCS} documents", heads, rows)
    if asked.out:
        result = [dict(zip(heads, row, strict=True)) for row in rows]
        write_json(asked.out, {"sessions": asked.sessions, "rows": result, "hardware": hardware()})


if __name__ == "__main__":
    main()

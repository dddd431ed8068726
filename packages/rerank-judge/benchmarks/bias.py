"""Speed of the bias report's bootstrap beside a loop that evaluates every resample anew, on the same boards.

    python benchmarks/bias.py --out bias.json

Nine systems, nine judges, 1000 resamples of 54 topics, as in the paper's study of bias. Prints one table and writes one
JSON; times are medians.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ir_shared.console import print_table
from ir_shared.run_dir import hardware, versions, write_json
from rerank_judge.bias import BiasReport, bias_from_boards
from rerank_judge.families import Families
from rerank_judge.leaderboard import Board

SYSTEMS = tuple(f"{family}{i}" for family in "ABC" for i in range(3))
FAMILIES = Families({family: tuple(f"{family}{i}" for i in range(3)) for family in "ABC"})
TOPICS, DRAWS = 54, 1000


def boards(seed: int = 0) -> tuple[Board, list[Board]]:
    rng = np.random.default_rng(seed)
    topics = tuple(map(str, range(TOPICS)))
    human, *judges = (
        Board(name, ("AP@100",), SYSTEMS, topics, rng.random((len(SYSTEMS), TOPICS, 1))) for name in ("human", *SYSTEMS)
    )
    return human, judges


def ours(human: Board, judges: list[Board]) -> BiasReport:
    return bias_from_boards(human, judges, FAMILIES, n_boot=DRAWS)


def loop(human: Board, judges: list[Board], draws: int) -> list[tuple[float, float]]:
    """Intervals of self(j) by drawing topics and computing every figure of every draw: what the definition says."""
    rng = np.random.default_rng(0)
    found: list[list[float]] = [[] for _ in judges]
    for _ in range(draws):
        drawn = rng.integers(0, TOPICS, TOPICS)
        for j, judge in enumerate(judges):
            difference = {
                s: float(np.mean(judge.values[i, drawn, 0]) - np.mean(human.values[i, drawn, 0]))
                for i, s in enumerate(SYSTEMS)
            }
            leniency = sum(difference.values()) / len(difference)
            centred = {s: value - leniency for s, value in difference.items()}
            found[j].append(centred[SYSTEMS[j]])
    return [(float(np.quantile(values, 0.025)), float(np.quantile(values, 0.975))) for values in found]


def median_time(call: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("bias.json"))
    arguments = parser.parse_args()
    human, judges = boards()
    seconds = median_time(lambda: ours(human, judges), 5)
    peer = median_time(lambda: loop(human, judges, DRAWS), 1)
    both = zip(ours(human, judges).judges, loop(human, judges, DRAWS), strict=True)
    apart = max(
        max(abs(a.own_preference.interval.low - low), abs(a.own_preference.interval.high - high))
        for a, (low, high) in both
    )
    figures = sum(1 for _ in judges) * (3 + len(FAMILIES.members) + len(SYSTEMS))
    task = f"bias report, {len(judges)} judges x {len(SYSTEMS)} systems x {TOPICS} topics, {DRAWS} draws"
    note = f"a loop over draws, for self(j) alone; ends of its intervals within {apart:.4f} of ours"
    columns = ["task", "ours, s", "target, s", "peer, s", "ratio", "figures", "peer"]
    print_table("", columns, [[task, seconds, "< 2", peer, peer / seconds, figures, note]])
    row = {"task": task, "ours": seconds, "target": 2.0, "peer": peer, "ratio": peer / seconds, "note": note}
    write_json(arguments.out, {"rows": [row], "versions": versions("rerank-judge"), "hardware": hardware()})


if __name__ == "__main__":
    main()

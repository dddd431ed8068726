"""A score store of a million rows: opening, resuming and writing it, beside one ``json.loads`` for each line.

    python benchmarks/score_store.py [--rows 1000000] [--out store.json]

Docids look like MS MARCO v2's; there are 100 documents for each query. The file is in the operating system's cache.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ir_shared.console import print_table
from ir_shared.run_dir import hardware, versions, write_json
from rerank_judge.score_store import ScoreStore
from rerank_judge.scorers import Pair, ScoredPair
from rerank_judge.scorers.card import JudgeCard

CARD = JudgeCard("toy", "monot5", "monoT5", "log-odds", dtype="float32")
BATCH = 64


def make_pairs(rows: int) -> list[Pair]:
    draw = random.Random(0)
    return [
        Pair(f"20{i // 100:05d}", f"msmarco_passage_{i % 70:02d}_{draw.randrange(10**9)}", "a query", "a text")
        for i in range(rows)
    ]


def fill(path: Path, pairs: list[Pair]) -> None:
    draw = random.Random(1)
    with ScoreStore.open(path, CARD) as store:
        for start in range(0, len(pairs), BATCH):
            batch = pairs[start : start + BATCH]
            store.append((pair, ScoredPair(pair.qid, pair.docid, draw.gauss(0, 3))) for pair in batch)


def line_by_line(path: Path) -> dict[tuple[str, str], float]:
    with path.open(encoding="utf-8") as file:
        next(file)
        rows = map(json.loads, file)
        return {(row[0], row[1]): row[2] for row in rows}


def resume(path: Path, pairs: list[Pair]) -> None:
    """Opens the store and finds that no pair needs work, texts checked."""
    with ScoreStore.open(path, CARD, resume=True) as store:
        left = [pair for pair in pairs if (pair.qid, pair.docid) not in store]
        store.check(pairs)
        assert not left


def timed(call: Callable[[], object]) -> float:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - start)
        del result
    return sorted(times)[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    pairs = make_pairs(options.rows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.jsonl"
        start = time.perf_counter()
        fill(path, pairs)
        seconds = {"append, 64 rows a batch": time.perf_counter() - start}
        seconds["open"] = timed(lambda: ScoreStore.read(path))
        seconds["open and resume, texts checked"] = timed(lambda: resume(path, pairs))
        seconds["peer: json.loads for each line"] = timed(lambda: line_by_line(path))
        with ScoreStore.open(path, CARD, resume=True) as store:
            opened = time.perf_counter()
            store.finalise(pairs)
        seconds["finalise"] = time.perf_counter() - opened
        size = path.stat().st_size / 2**20
    targets = {"open": 3.0, "open and resume, texts checked": 3.0}
    rows = [[name, value, targets.get(name)] for name, value in seconds.items()]
    print_table(f"score store of {options.rows:,} rows, {size:.0f} MiB", ["task", "seconds", "target"], rows)
    if options.out:
        setting = {"rows": options.rows, "hardware": hardware(), "versions": versions("rerank-judge")}
        write_json(options.out, {"seconds": seconds, "targets": targets, "mebibytes": size} | setting)


if __name__ == "__main__":
    main()

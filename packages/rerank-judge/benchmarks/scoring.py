"""Scoring in length buckets beside scoring in file order, with the same model, head and code for each batch.

    python benchmarks/scoring.py [--size small|base] [--device cpu|cuda] [--pairs 256] [--out scoring.json]

The model has the shape of T5-small (or T5-base) and random weights; its vocabulary is 2,000 words instead of 32,128
pieces, which only shortens the embedding table, because the judge computes two rows of the head. Passages have
log-normal lengths with a median of 95 tokens. File order pads every batch to its longest pair, in batches of 32 pairs,
as is common, and of 8, about what a bucket holds on a CPU; buckets have the judge's default budget of tokens. Times
include tokenising and are medians; a ratio is the median of the ratios of neighbouring measurements.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ir_shared.console import print_table
from ir_shared.run_dir import hardware, versions, write_json
from ir_shared.tiny_models import make_tiny
from rerank_judge.scorers import Pair, load_scorer
from rerank_judge.scorers.packing import length_batches

SHAPES = {
    "small": {"d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_heads": 8},
    "base": {"d_model": 768, "d_kv": 64, "d_ff": 3072, "num_layers": 12, "num_heads": 12},
}
WORDS = [f"w{i}" for i in range(2000)]
MEDIAN, SIGMA = 95, 0.45
FILE_ORDER = {"file order, 32 pairs": 32, "file order, 8 pairs": 8}


def make_pairs(n: int) -> list[Pair]:
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(np.log(MEDIAN), SIGMA, n), 5, 480).astype(int)
    texts = [" ".join(rng.choice(WORDS, length).tolist()) for length in lengths]
    return [
        Pair(f"q{i // 100}", f"d{i}", " ".join(WORDS[i // 100 : i // 100 + 6]), text) for i, text in enumerate(texts)
    ]


def in_file_order(scorer: Any, pairs: list[Pair], size: int) -> list[float]:
    examples = scorer.encode(pairs)
    return [
        answer.score for batch in in_turn(len(pairs), size) for answer in scorer.answer([examples[i] for i in batch])
    ]


def in_turn(n: int, size: int) -> list[list[int]]:
    return [list(range(start, min(start + size, n))) for start in range(0, n, size)]


def in_buckets(scorer: Any, pairs: list[Pair]) -> list[float]:
    return [pair.score for pair in scorer.score(pairs)]


def useful_share(costs: list[int], batches: list[list[int]]) -> float:
    """Share of the token slots, padding included, that hold a token."""
    return sum(costs) / sum(len(batch) * max(costs[i] for i in batch) for batch in batches)


def timed(call: Callable[[], list[float]], device: str) -> tuple[float, list[float]]:
    """Seconds of the processor on a CPU, which other work on the machine moves less, and of the clock on a GPU."""
    import torch

    clock = time.process_time if device == "cpu" else time.perf_counter
    start = clock()
    scores = call()
    if device == "cuda":
        torch.cuda.synchronize()
    return clock() - start, scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SHAPES, default="small")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--pairs", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()

    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    with tempfile.TemporaryDirectory() as folder:
        words = ["true", "false", "Query:", "Document:", "Relevant:", *WORDS]
        model = make_tiny(Path(folder) / "t5", "t5", words=words, std=0.05, **SHAPES[options.size])
        scorer: Any = load_scorer(f"monot5:{model}", device=options.device, dtype=options.dtype)
    pairs = make_pairs(options.pairs)
    in_buckets(scorer, pairs[:32])  # warm-up
    costs = [example.cost for example in scorer.encode(pairs)]
    plans = {name: in_turn(len(pairs), size) for name, size in FILE_ORDER.items()}
    plans["buckets"] = length_batches(costs, scorer.batch_tokens)
    calls = {name: partial(in_file_order, scorer, pairs, size) for name, size in FILE_ORDER.items()}
    calls["buckets"] = partial(in_buckets, scorer, pairs)
    times: dict[str, list[float]] = {name: [] for name in calls}
    scores: dict[str, list[float]] = {}
    for _ in range(options.repeats):  # in turn, so that all meet the same load
        for name, call in calls.items():
            seconds, scores[name] = timed(call, options.device)
            times[name].append(seconds)

    rows = [
        {
            "order": name,
            "seconds": statistics.median(times[name]),
            "pairs_per_second": len(pairs) / statistics.median(times[name]),
            "useful_share": useful_share(costs, plans[name]),
            "ratio": statistics.median(a / b for a, b in zip(times[name], times["buckets"], strict=True)),
            "largest_difference": float(np.abs(np.subtract(scores[name], scores["buckets"])).max()),
        }
        for name in calls
    ]
    title = f"T5-{options.size} shape, random weights, {options.pairs} pairs, {options.device}, {scorer.card.dtype}"
    columns = ["order", "seconds", "pairs/s", "useful share", "ratio to buckets", "largest difference"]
    cells = [[*list(row.values())[:-1], f"{row['largest_difference']:.1e}"] for row in rows]
    print_table(title, columns, cells)
    print(f"target: file order takes 1.8 times as long; scores spread over {np.ptp(scores['buckets']):.2f}")
    if options.out:
        setting = {"arguments": vars(options), "hardware": hardware(), "versions": versions("rerank-judge")}
        write_json(options.out, {"rows": rows, "target_ratio": 1.8} | setting)
    if max(row["largest_difference"] for row in rows) > 1e-5 and scorer.card.dtype == "float32":
        raise SystemExit("the scores differ by more than 1e-5")


if __name__ == "__main__":
    main()

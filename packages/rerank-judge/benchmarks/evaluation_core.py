"""Speed and memory of the evaluation core beside its peers, on the same work in the same run.

    python benchmarks/evaluation_core.py [sweep] [memory] [reading] [kappa] [bootstrap] --out core.json

Prints one table and writes one JSON. Times are medians. A peer that would take minutes is measured on part of the work
and scaled, and the table says so. "Floor" is the time of work that cannot be avoided, as far as one can be named.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from deep_learning_world import ALL_TOPICS, DEPTH, SYSTEMS, TOPICS, literal_loop, load, write_world
from ir_shared.console import DataWarning, print_table
from ir_shared.run_dir import hardware, versions, write_json
from rerank_judge.agreement import kappa_interval
from rerank_judge.collection import Collection
from rerank_judge.kappa_curve import kappa_curve
from rerank_judge.labeling import Coverage, ScoreSet
from rerank_judge.ordering import tau_interval
from rerank_judge.sweep import sweep

METRICS = ("AP@100", "RR@10", "nDCG@10")


@dataclass(frozen=True)
class Row:
    """One line of the table; seconds, except for memory in MB."""

    task: str
    ours: float
    target: str
    peer: str = ""
    peer_value: float | None = None
    ratio: float | None = None
    floor: str = ""
    floor_value: float | None = None
    note: str = ""


def median_time(call: Callable[[], object], repeats: int = 5) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def bench_sweep() -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_world(folder, ALL_TOPICS, TOPICS)
        collection, scores = load(folder)
        grid = np.linspace(0, 1, 101)
        ours = median_time(lambda: sweep(collection, scores, grid, METRICS))
        thousand = median_time(lambda: sweep(collection, scores, np.linspace(0, 1, 1000), METRICS))
        distinct = np.unique(scores.scores)
        every = median_time(lambda: sweep(collection, scores, distinct, METRICS))
        asked = grid[[20, 50, 80]]
        found = sweep(collection, scores, asked, METRICS)
        literal, parsed, means = literal_loop(folder, collection, scores, asked)
    difference = float(np.abs(means - found).max())
    size = f"x {SYSTEMS} systems x {TOPICS} topics x {DEPTH} documents x 3 metrics"
    floor = median_time(lambda: touch(moved_bytes(collection)))
    equal = f"3 thresholds, x 101/3; largest difference {difference:.1e}"
    one = f"pytrec_eval for each threshold, runs read each time ({equal})"
    two = f"the same with runs parsed once ({equal})"
    moved = "reading and writing as many bytes in cache"
    return [
        Row(f"sweep, 101 thresholds {size}", ours, "<= 1", one, literal, literal / ours, moved, floor),
        Row("", ours, "", two, parsed, parsed / ours),
        Row(f"sweep, 1000 thresholds {size}", thousand, "<= 40"),
        Row(f"sweep, all {len(distinct)} distinct scores {size}", every, ""),
    ]


def moved_bytes(collection: Collection) -> int:
    """Bytes that a sweep's AP part reads and writes: comparison, product and sum for each pair of positions."""
    judged = int((collection.runs >= 0).sum(axis=2).max())
    lists = len(collection.systems) * len(collection.topics)
    return lists * judged * (judged - 1) // 2 * (4 + 1 + 1 + 8 + 8 + 8 + 8)


def touch(size: int, block: int = 2**15) -> None:
    """Reads and writes ``size`` bytes within the first-level cache."""
    source, target = np.zeros(block // 8), np.empty(block // 8)
    for _ in range(size // (2 * block)):
        np.copyto(target, source)


def bench_memory() -> list[Row]:
    """Peak memory of a process that holds 200 x 500 x 1000 lists and sweeps them with AP@1000."""
    done = subprocess.run([sys.executable, __file__, "--child"], capture_output=True, text=True, check=True)
    child = json.loads(done.stdout)
    note = f"{child['before']:.0f} MB before the sweep (400 MB of lists), {child['seconds']:.1f} s for 101 thresholds"
    return [
        Row("peak memory, 200 systems x 500 topics x 1000 documents, AP@1000 (MB)", child["peak"], "<= 500", note=note)
    ]


def child() -> None:
    systems, topics, depth, pairs = 200, 500, 1000, 300
    rng = np.random.default_rng(0)
    runs = np.full((systems, topics, depth), -1, dtype=np.int32)
    for t in range(topics):
        for s in range(systems):
            runs[s, t, rng.permutation(depth)[:pairs]] = t * pairs + rng.permutation(pairs)
    n = topics * pairs
    collection = Collection(
        topics=tuple(map(str, range(topics))),
        docids=tuple(map(str, range(n))),
        offsets=np.arange(0, n + 1, pairs),
        grades=rng.integers(0, 4, n),
        judged=np.ones(n, dtype=np.bool_),
        systems=tuple(map(str, range(systems))),
        runs=runs,
        file_cut=runs[:, :, :10].copy(),
        depth=depth,
    )
    scores = ScoreSet("judge", rng.random(n), np.ones(n, dtype=np.bool_), "probability", Coverage(n, n, 0, 0))
    before = peak_mb()
    start = time.perf_counter()
    sweep(collection, scores, np.linspace(0, 1, 101), ["AP@1000", "RR@10", "nDCG@10"])
    print(json.dumps({"before": before, "peak": peak_mb(), "seconds": time.perf_counter() - start}))


def peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if platform.system() == "Darwin" else peak / 1e3


def bench_reading() -> list[Row]:
    import pytrec_eval

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_world(folder, ALL_TOPICS, TOPICS)
        paths = sorted((folder / "runs").iterdir())

        def parse() -> None:
            for path in paths:
                with path.open() as file:
                    pytrec_eval.parse_run(file)

        def split() -> None:
            for path in paths:
                path.read_bytes().decode().split("\n")

        ours = median_time(lambda: Collection.load(folder / "qrels", folder / "runs"))
        peer, floor = median_time(parse), median_time(split)
    task = f"reading {SYSTEMS} runs of {ALL_TOPICS} topics x {DEPTH} lines, {TOPICS} judged, into a collection"
    return [
        Row(task, ours, "<= 2", "pytrec_eval.parse_run", peer, peer / ours, "splitting the files into lines", floor)
    ]


def bench_kappa() -> list[Row]:
    from sklearn.metrics import cohen_kappa_score, roc_curve

    rng = np.random.default_rng(0)
    human = rng.random(10**6) < 0.2
    scores = rng.standard_normal(10**6) + human
    curve = kappa_curve(human, scores)
    ours = median_time(lambda: kappa_curve(human, scores))
    single = median_time(lambda: cohen_kappa_score(human, scores >= 0.5), 3) * len(curve.kappa)
    roc = median_time(lambda: roc_curve(human, scores, drop_intermediate=False), 3)
    sort = median_time(lambda: np.argsort(scores, kind="stable"))
    task = f"kappa at all {len(curve.kappa)} thresholds of 10^6 pairs"
    scaled = "sklearn cohen_kappa_score for each threshold (1 measured, scaled)"
    return [
        Row(task, ours, "< 1", scaled, single, single / ours, "one sort", sort),
        Row("", ours, "", "sklearn roc_curve (counts only, no kappa)", roc, roc / ours),
    ]


def bench_bootstrap() -> list[Row]:
    from scipy.stats import kendalltau

    systems, topics, n_boot = 60, 50, 1000
    rng = np.random.default_rng(0)
    quality = np.linspace(0.2, 0.6, systems)[:, None]
    human = quality + 0.2 * rng.standard_normal((systems, topics))
    judge = human + 0.1 * rng.standard_normal((systems, topics))

    def loop() -> None:
        for _ in range(n_boot):
            drawn = rng.integers(0, topics, topics)
            kendalltau(human[:, drawn].mean(axis=1), judge[:, drawn].mean(axis=1))

    ours, peer = median_time(lambda: tau_interval(human, judge, n_boot)), median_time(loop, 3)
    counts = rng.multinomial(200, [0.1, 0.1, 0.1, 0.7], size=topics)
    tables = np.stack(
        [counts.sum(axis=1), counts[:, 0] + counts[:, 1], counts[:, 0] + counts[:, 2], counts[:, 0]], axis=1
    )
    kappa = median_time(lambda: kappa_interval(tables, n_boot))
    task = f"bootstrap of tau, B={n_boot}, S={systems}, T={topics}"
    return [
        Row(task, ours, "< 10", "a loop over scipy kendalltau", peer, peer / ours),
        Row(f"bootstrap of kappa, B={n_boot}, T={topics}", kappa, ""),
    ]


BENCHES: dict[str, Callable[[], list[Row]]] = {
    "sweep": bench_sweep,
    "memory": bench_memory,
    "reading": bench_reading,
    "kappa": bench_kappa,
    "bootstrap": bench_bootstrap,
}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benches", nargs="*", help=f"any of {', '.join(BENCHES)}; all by default")
    parser.add_argument("--out", type=Path, default=Path("evaluation_core.json"))
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.child:
        child()
        return
    warnings.simplefilter("ignore", DataWarning)
    rows = [row for name in arguments.benches or BENCHES for row in BENCHES[name]()]
    columns = ["task", "ours", "target", "peer", "its time", "ratio", "floor", "its time"]
    shown = [
        [r.task, r.ours, r.target, r.peer, r.peer_value, r.ratio and f"{r.ratio:.0f}x", r.floor, r.floor_value]
        for r in rows
    ]
    print_table("Evaluation core (seconds)", columns, shown)
    for row in rows:
        if row.note:
            print(f"{row.task}: {row.note}")
    write_json(
        arguments.out,
        {"rows": [asdict(row) for row in rows], "hardware": hardware(), "versions": versions("rerank-judge")},
    )


if __name__ == "__main__":
    main()

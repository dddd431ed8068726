"""The position graph beside a literal script of dictionaries and sets, on the same rows in the same run.

    python benchmarks/graph.py --rows 1000000 --out graph.json

Three comparisons with literal scripts. Equal feature vectors as pairs: a dictionary from tuples of 136 features to sets
of positions, as published scripts have it, against ours from the same arrays in memory. Pairs of query and document,
links and components only; and the same with swap counts, information and discordances, as our graph holds them: both
scripts get their rows as Python lists, reading excluded, where ours starts from the Parquet file. The answers are
compared before anything is printed. On pairs, reading, checking and grouping the rows take about five sixths of our
time and the graph a sixth, so the limit is how fast Polars groups a million rows. Times are the best of several, for
ours and theirs, as machines are shared.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from click_logs import write_log
from ir_shared.console import print_table
from ir_shared.run_dir import hardware, versions, write_json
from twotower_ident.cells import CellTable, group_rows
from twotower_ident.click_log import ClickLog
from twotower_ident.contrasts import swap_laplacian
from twotower_ident.swap_graph import position_graph

Rows = list[tuple[int, int, int, int]]


def literal_links(rows: Rows) -> tuple[set[tuple[int, int]], int]:
    """Links and number of components."""
    seen: dict[tuple[int, int], set[int]] = defaultdict(set)
    for qid, docid, position, _ in rows:
        seen[qid, docid].add(position)
    links = {link for positions in seen.values() for link in combinations(sorted(positions), 2)}
    return links, _components({p for positions in seen.values() for p in positions}, links)


def literal_vectors(features: np.ndarray, lists: np.ndarray) -> int:
    """Number of components where equal feature vectors are one pair; lists hold document indices by position."""
    seen: dict[tuple[float, ...], set[int]] = defaultdict(set)
    for q in range(len(lists)):
        for position in range(lists.shape[1]):
            seen[tuple(features[lists[q, position]])].add(position)
    links = {link for positions in seen.values() for link in combinations(sorted(positions), 2)}
    return _components(set(range(lists.shape[1])), links)


def our_vectors(features: np.ndarray, lists: np.ndarray) -> int:
    n, k = lists.shape
    shown = np.ones(n * k)
    position = np.tile(np.arange(1, k + 1), n)
    cells = CellTable.from_arrays(group_rows(features)[lists.reshape(-1)], position, shown, 0 * shown)
    return position_graph(cells).n_components


def literal_graph(rows: Rows) -> dict[str, dict[tuple[int, int], float]]:
    """Swap counts, information and discordances of each two positions."""
    shown: dict[tuple[int, int], dict[int, int]] = defaultdict(lambda: defaultdict(int))
    clicked: dict[tuple[int, int], dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for qid, docid, position, click in rows:
        shown[qid, docid][position] += 1
        clicked[qid, docid][position] += click
    found: dict[str, dict[tuple[int, int], float]] = {
        name: defaultdict(float) for name in ("pairs", "information", "wins")
    }
    for pair, counts in shown.items():
        total = sum(counts.values())
        for k, j in permutations(counts, 2):
            found["pairs"][k, j] += 1
            found["information"][k, j] += counts[k] * counts[j] / total
            found["wins"][k, j] += clicked[pair][k] * (counts[j] - clicked[pair][j]) / total
    return found


def _components(positions: set[int], links: set[tuple[int, int]]) -> int:
    near: dict[int, set[int]] = {p: set() for p in positions}
    for one, other in links:
        near[one].add(other)
        near[other].add(one)
    count = 0
    while positions:
        count += 1
        edge = {positions.pop()}
        while edge:
            edge = {q for p in edge for q in near[p]} & positions
            positions -= edge
    return count


def ours(path: Path) -> tuple[Any, Any]:
    cells = ClickLog.scan(path).cells()
    return position_graph(cells), swap_laplacian(cells, np.ones(cells.n_cells))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.parquet"
        write_log(path, options.rows)
        rows: Rows = pl.read_parquet(path).rows()
        fast, (graph, laplacian) = _timed(lambda: ours(path), options.repeat)
        links, (edges, components) = _timed(lambda: literal_links(rows), 3)
        full, tables = _timed(lambda: literal_graph(rows), 3)
    assert components == graph.n_components
    assert len(edges) == np.count_nonzero(np.triu(graph.swap_pairs, 1))
    for (k, j), value in tables["information"].items():
        assert np.isclose(-laplacian[k - 1, j - 1], value)
        assert np.isclose(graph.discordance[k - 1, j - 1], tables["wins"][k, j])
    rng = np.random.default_rng(0)
    features = rng.standard_normal((options.rows // 10, 136))
    lists = rng.integers(0, len(features), (options.rows // 10, 10))
    vectors, one = _timed(lambda: our_vectors(features, lists), options.repeat)
    literal, other = _timed(lambda: literal_vectors(features, lists), 2)
    assert one == other
    table = [
        ["ours: equal vectors of 136 features", vectors, None],
        ["literal: equal vectors of 136 features", literal, literal / vectors],
        ["ours: file to swap counts, information, discordances", fast, None],
        ["literal: links and components", links, links / fast],
        ["literal: the same figures as ours", full, full / fast],
    ]
    title = f"{options.rows:,} rows, load {os.getloadavg()[0]:.1f}"
    print_table(title, ["", "seconds (best)", "times ours"], table)
    if options.out is not None:
        about = {"hardware": hardware(), "versions": versions("twotower-ident")}
        write_json(options.out, {"rows": options.rows, "table": table, **about})


def _timed(work: Callable[[], Any], repeat: int) -> tuple[float, Any]:
    seconds, result = [], None
    for _ in range(repeat):
        start = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - start)
    return min(seconds), result


if __name__ == "__main__":
    main()

"""Wall time of LightGBM's ranking with a position column beside our exact linear fit, on one log, in one run.

    python benchmarks/lightgbm_peer.py --python OTHER/bin/python [--sessions 20000] [--out lightgbm.json]

LightGBM lives in an environment of its own (``--python``, with ``lightgbm`` installed there); this file starts itself
there. The two fit different models (boosted trees with a pairwise loss; logits of a line), so nothing but the time is
compared. LightGBM takes one row an impression, ours takes cells. Data are in memory for both. LightGBM has one thread:
several that spin on a shared machine cost it tenfold. Run with OMP_NUM_THREADS=1 for the same of ours.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROUNDS = 100


def worker(path: str) -> None:
    """Trains LightGBM on the impressions of an npz file and prints the seconds; runs in the other environment."""
    import lightgbm

    rows = np.load(path)
    data = lightgbm.Dataset(
        rows["features"][rows["pair"]], rows["click"], group=rows["group"], position=rows["position"]
    )
    start = time.perf_counter()
    lightgbm.train({"objective": "lambdarank", "num_threads": 1, "verbosity": -1}, data, num_boost_round=ROUNDS)
    print(time.perf_counter() - start, lightgbm.__version__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", type=Path, required=True)
    parser.add_argument("--sessions", type=int, default=20_000)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    from ir_shared.console import print_table
    from ir_shared.run_dir import hardware, versions, write_json
    from twotower_ident import ClickLog, EpsilonGreedy, ExpertPolicy, UserModel, fit_exact, make_world
    from twotower_ident.features import table_features
    from twotower_ident.generators import gaussian_letor
    from twotower_ident.simulate import pair_names, simulate_sessions

    documents = gaussian_letor(n_queries=200, n_features=20, seed=1)
    world = make_world(documents, ExpertPolicy(0.5), UserModel(), seed=1)
    rows = simulate_sessions(world, EpsilonGreedy(1 / 3), sessions=options.sessions, seed=1)
    table = pair_names(world).with_columns(**{f"f{i}": documents.features[:, i] for i in range(20)})
    pair = rows.join(table.with_row_index("pair"), on=["qid", "docid"], how="left", maintain_order="left")["pair"]
    log = ClickLog.scan(rows)
    features = table_features(log, table).values
    start = time.perf_counter()
    cells = log.cells()
    fit_exact(cells, "linear", features=features)
    ours = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.npz"
        np.savez(
            path,
            features=documents.features,
            pair=pair.to_numpy(),
            click=rows["click"].to_numpy(),
            position=rows["position"].to_numpy(),
            group=np.full(options.sessions, 25),
        )
        argv = [str(options.python), __file__, "worker", str(path)]
        seconds, version = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    table_rows: list[list[object]] = [
        ["ours: log in memory to exact linear fit", ours, None],
        [f"lightgbm {version}: {ROUNDS} rounds with position", float(seconds), float(seconds) / ours],
    ]
    print_table(f"{rows.height:,} impressions, {cells.n_cells:,} cells", ["", "seconds", "times ours"], table_rows)
    if options.out is not None:
        about = {"hardware": hardware(), "versions": versions("twotower-ident")}
        write_json(options.out, {"rows": rows.height, "table": table_rows, **about})


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        worker(sys.argv[2])
    else:
        main()

"""Exact fits: seconds of the linear tower on 25,625 cells x 136 features, beside a dense fit of the same model.

    python benchmarks/exact_fit.py [--out exact_fit.json]

The peer is scikit-learn's logistic regression on the stacked design, one column a position beside the features, to the
same optimum; the embedding tower is timed on a larger log.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
from ir_shared.console import print_table
from ir_shared.run_dir import hardware, write_json
from sklearn.linear_model import LogisticRegression
from twotower_ident.cells import CellTable
from twotower_ident.exact_fit import fit_exact
from twotower_ident.generators import gaussian_letor
from twotower_ident.policies import EpsilonGreedy, ExpertPolicy
from twotower_ident.simulate import expected_cells, make_world, simulate_cells
from twotower_ident.user_models import UserModel


def dense_peer(cells: CellTable, features: np.ndarray) -> np.ndarray:
    positions = np.eye(cells.n_positions)[cells.index]
    design = np.tile(np.hstack([positions, features[cells.pair]]), (2, 1))
    clicked = np.repeat([1, 0], cells.n_cells)
    weight = np.concatenate([cells.clicks, cells.impressions - cells.clicks])
    model = LogisticRegression(C=1e9, fit_intercept=False, solver="newton-cholesky", tol=1e-10, max_iter=100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(design, clicked, sample_weight=weight)
    curve = model.coef_[0][: cells.n_positions]
    return curve - curve[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default=None)
    asked = parser.parse_args()
    data = gaussian_letor(n_queries=41, n_features=136, kind="tanh", seed=1)
    world = make_world(data, ExpertPolicy(0.5), UserModel(), seed=1)
    cells = expected_cells(world, EpsilonGreedy(1 / 3), sessions=1e6)
    start = time.perf_counter()
    fit = fit_exact(cells, "linear", features=data.features)
    ours = time.perf_counter() - start
    start = time.perf_counter()
    peer = dense_peer(cells, data.features)
    dense = time.perf_counter() - start
    apart = float(np.abs(fit.position_bias - peer).max())
    rows: list[tuple[object, ...]] = [("linear, 136 features", cells.n_cells, fit.iterations, ours, dense, apart)]
    large = make_world(gaussian_letor(n_queries=18_900, n_features=2, seed=1), ExpertPolicy(1), UserModel())
    log = simulate_cells(large, EpsilonGreedy(1 / 3), sessions=1_000_000, seed=1)
    start = time.perf_counter()
    fit = fit_exact(log, "embedding")
    rows.append(("embedding, 472,500 pairs", log.n_cells, fit.iterations, time.perf_counter() - start, None, None))
    heads = ("fit", "cells", "steps", "seconds", "dense_seconds", "curves_apart")
    print_table("exact fits", heads, rows)
    if asked.out:
        write_json(asked.out, {"rows": [dict(zip(heads, row, strict=True)) for row in rows], "hardware": hardware()})


if __name__ == "__main__":
    main()

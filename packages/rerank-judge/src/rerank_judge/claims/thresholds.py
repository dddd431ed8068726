"""Claims on thresholds: how much agreement depends on them, and whether finer ones transfer better."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise, permutations

import numpy as np
from ir_shared.claims import Context, Measurement

from rerank_judge.agreement import kappa_from_counts, topic_counts, topic_kappa
from rerank_judge.bootstrap import percentile_interval, topic_weights
from rerank_judge.calibration import select_threshold
from rerank_judge.claims.plots import plot_curves, plot_pairs
from rerank_judge.claims.worlds import FAMILIES, Judge, World, load_world
from rerank_judge.collection import Collection, FloatArray, IntArray
from rerank_judge.kappa_curve import kappa_curve
from rerank_judge.labeling import ScoreSet, threshold

__all__ = ["exact_against_grid", "sensitivity", "sensitivity_renamed", "shuffled_source"]

_DRAWS = 1000


def sensitivity(context: Context) -> Measurement:
    """The smaller of the two steps in the range of κ from family to family, averaged over judges and collections.

    The range is taken over thresholds from 0.05 to 0.95 for probabilities and from -5 to 5 for logits.
    """
    return _sensitivity(context, FAMILIES)


def sensitivity_renamed(context: Context) -> Measurement:
    """The same after each family has been given the next one's name."""
    return _sensitivity(context, (*FAMILIES[1:], FAMILIES[0]))


def exact_against_grid(context: Context) -> Measurement:
    """κ at the transferred exact threshold minus κ at the transferred grid threshold.

    Averaged over the judges whose probabilities saturate and over both directions. The interval is over the target's
    topics, with the thresholds as they are.
    """
    return _exact_against_grid(context, lambda collection, scores: select_threshold(collection, scores).threshold)


def shuffled_source(context: Context) -> Measurement:
    """The same with exact thresholds found on human labels that were shuffled among the source's pairs."""

    def select(collection: Collection, scores: ScoreSet) -> float:
        shuffled = np.random.default_rng(context.seed).permutation(collection.relevant)
        return kappa_curve(shuffled, scores.scores).best().threshold

    return _exact_against_grid(context, select)


def _sensitivity(context: Context, order: tuple[str, ...]) -> Measurement:
    world = load_world(context)
    curves = {
        (judge.name, name): _counts_by_threshold(collection, judge.scores[name])
        for judge in world.judges
        for name, collection in world.collections.items()
    }
    weights = {name: topic_weights(len(c.topics), _DRAWS, context.seed) for name, c in world.collections.items()}
    once = {name: np.ones((1, len(c.topics)), dtype=np.int64) for name, c in world.collections.items()}
    ranges = _family_ranges(world, curves, once)
    resampled = _family_ranges(world, curves, weights)
    return Measurement(
        value=float(_smallest_step(ranges, order)[0]),
        interval=_ends(_smallest_step(resampled, order)),
        data=world.data,
        details={f"range of κ, {family}": float(ranges[family][0]) for family in FAMILIES},
        figures=plot_curves(
            context.folder,
            {
                (judge.family, judge.name, name): _kappa(once[name], curves[judge.name, name])[0]
                for judge in world.judges
                for name in world.collections
            },
        ),
    )


def _smallest_step(ranges: Mapping[str, FloatArray], order: tuple[str, ...]) -> FloatArray:
    steps = np.stack([ranges[higher] - ranges[lower] for lower, higher in pairwise(order)])
    return np.asarray(steps.min(axis=0), dtype=np.float64)


def _thresholds(scores: ScoreSet) -> FloatArray:
    return np.linspace(0.05, 0.95, 91) if scores.scale == "probability" else np.linspace(-5, 5, 101)


def _counts_by_threshold(collection: Collection, scores: ScoreSet) -> IntArray:
    """N, P, m and tp of each topic at each threshold, [T, n_thresholds, 4]."""
    thresholds = _thresholds(scores)
    width = len(thresholds) + 1
    cell = collection.pair_topic * width + np.searchsorted(thresholds, scores.scores, side="right")
    # A pair is labelled relevant at all thresholds up to its score, so labels are counts from the right.
    m, tp = (
        np.bincount(cell[chosen], minlength=len(collection.topics) * width).reshape(-1, width)[:, ::-1].cumsum(axis=1)
        for chosen in (slice(None), collection.relevant)
    )
    counts = np.stack(np.broadcast_arrays(m[:, -1:], tp[:, -1:], m[:, ::-1], tp[:, ::-1]), axis=-1)
    return np.asarray(counts[:, 1:], dtype=np.int64)


def _family_ranges(
    world: World, curves: Mapping[tuple[str, str], IntArray], weights: Mapping[str, IntArray]
) -> dict[str, FloatArray]:
    """Mean range of κ of each family in each resample, [B]."""

    def ranges(judge: Judge) -> list[FloatArray]:
        return [np.ptp(_kappa(weights[name], curves[judge.name, name]), axis=1) for name in world.collections]

    return {
        family: np.mean([one for judge in world.judges if judge.family == family for one in ranges(judge)], axis=0)
        for family in FAMILIES
    }


def _kappa(weights: IntArray, counts: IntArray) -> FloatArray:
    """κ of each resample at each threshold, [B, n_thresholds]."""
    n, positives, m, tp = np.moveaxis(np.tensordot(weights, counts, axes=1), -1, 0)
    return kappa_from_counts(n, positives, m, tp)


def _exact_against_grid(context: Context, select_exact: Callable[[Collection, ScoreSet], float]) -> Measurement:
    world = load_world(context)
    judges = [judge for judge in world.judges if judge.family == FAMILIES[0]]
    weights = {name: topic_weights(len(c.topics), _DRAWS, context.seed) for name, c in world.collections.items()}
    rows, resampled = [], []
    for source, target in permutations(world.collections, 2):
        for judge in judges:
            at = {
                "grid": select_threshold(world.collections[source], judge.scores[source], grid="paper").threshold,
                "exact": select_exact(world.collections[source], judge.scores[source]),
            }
            collection = world.collections[target]
            counts = {kind: topic_counts(collection, threshold(judge.scores[target], t)) for kind, t in at.items()}
            kappas = {kind: float(topic_kappa(table.sum(axis=0))) for kind, table in counts.items()}
            rows.append((f"{judge.name}, {source} to {target}", kappas["grid"], kappas["exact"]))
            drawn = {kind: topic_kappa(weights[target] @ table) for kind, table in counts.items()}
            resampled.append(drawn["exact"] - drawn["grid"])
    return Measurement(
        value=float(np.mean([exact - grid for _, grid, exact in rows])),
        interval=_ends(np.mean(resampled, axis=0)),
        data=world.data,
        details={name: f"{grid:.3f} on the grid, {exact:.3f} exact" for name, grid, exact in rows},
        figures=plot_pairs(context.folder, rows),
    )


def _ends(values: FloatArray) -> tuple[float, float]:
    interval = percentile_interval(values)
    return interval.low, interval.high

"""Claims on holes: what unjudged documents do to the comparison of judges with humans."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from ir_shared.claims import Context, Measurement

from rerank_judge.bootstrap import percentile_interval, topic_weights
from rerank_judge.claims.plots import plot_changes
from rerank_judge.claims.preference import METRIC, Centred, centred
from rerank_judge.claims.published import PAPER_FAMILIES, bias_labels, reranker_runs, year
from rerank_judge.collection import ABSENT, UNJUDGED, Collection, FloatArray
from rerank_judge.holes import Holes, condense, judged_shares
from rerank_judge.labeling import LabelSet, human_labels
from rerank_judge.leaderboard import leaderboard
from rerank_judge.ordering import tau_b_many

__all__ = ["condensed_push", "condensed_tau", "thinned_tau", "unchanged_push"]

_DRAWS = 1000
_THINNINGS = 5


def condensed_tau(context: Context) -> Measurement:
    """Tau between judge and human orderings of the 59 runs: condensed lists minus lists as they are.

    Averaged over the paper's eight judges; the interval is over topics.
    """
    return _change_of_tau(context, lambda collection: [condense(collection)])


def thinned_tau(context: Context) -> Measurement:
    """The same with as many documents taken out of each list at random, judged or not; mean of five thinnings."""

    def thinned(collection: Collection) -> list[Collection]:
        rng = np.random.default_rng(context.seed)
        return [_thin(collection, rng) for _ in range(_THINNINGS)]

    return _change_of_tau(context, thinned)


def condensed_push(context: Context) -> Measurement:
    """The share of monoT5's and RankLLaMA's disfavour of Rank1's systems that is gone when lists are condensed."""
    return _share_gone(context, "condensed")


def unchanged_push(context: Context) -> Measurement:
    """The same with lists as they are on both sides."""
    return _share_gone(context, "raw")


def _change_of_tau(context: Context, variants: Callable[[Collection], Sequence[Collection]]) -> Measurement:
    judged = year(context, "dl22", runs=True)
    collection, labels = judged.collection, bias_labels(judged)
    topics = len(collection.topics)
    weights = np.concatenate([np.ones((1, topics)), topic_weights(topics, _DRAWS, context.seed)]) / topics
    before = _taus(collection, labels, weights)
    after = np.mean([_taus(lists, labels, weights) for lists in variants(collection)], axis=0)
    change = (after - before).mean(axis=0)
    interval = percentile_interval(change[1:])
    at10, at100 = judged_shares(collection).T
    details: dict[str, object] = {
        "judged@10, mean and lowest over runs": f"{at10.mean():.3f}, {at10.min():.3f}",
        "judged@100, mean and lowest over runs": f"{at100.mean():.3f}, {at100.min():.3f}",
    }
    rows = [(one.name, float(b[0]), float(a[0])) for one, b, a in zip(labels, before, after, strict=True)]
    details |= {name: f"τ {b:.3f} as they are, {a:.3f} after" for name, b, a in rows}
    return Measurement(
        value=float(change[0]),
        data=f"{len(collection.systems)} submitted runs of DL22, published judges (real)",
        interval=(interval.low, interval.high),
        details=details,
        figures=plot_changes(context.folder, rows),
    )


def _taus(collection: Collection, labels: Sequence[LabelSet], weights: FloatArray) -> FloatArray:
    """Tau of each judge under each row of topic weights, [J, 1 + B]."""

    def means(one: LabelSet) -> FloatArray:
        return np.asarray(weights @ leaderboard(collection, one, [METRIC]).values[:, :, 0].T, dtype=np.float64)

    human = means(human_labels(collection))
    return np.stack([tau_b_many(human, means(one)) for one in labels])


def _thin(collection: Collection, rng: np.random.Generator) -> Collection:
    """Takes as many documents out of each list as it has unjudged ones, wherever chance has it."""
    runs = collection.runs
    place = np.where(runs == ABSENT, 2.0, rng.random(runs.shape))
    taken = place.argsort(axis=2).argsort(axis=2) < (runs == UNJUDGED).sum(axis=2, keepdims=True)
    left = np.where(taken, ABSENT, runs)
    order = np.argsort(left == ABSENT, axis=2, kind="stable")
    return replace(collection, runs=np.take_along_axis(left, order, axis=2))


def _share_gone(context: Context, holes: Holes) -> Measurement:
    """1 - disfavour after / disfavour before, the disfavour being that of Rank1's systems by the other two families."""
    before, after = [], []
    shares: dict[str, object] = {}
    for judged, collection in reranker_runs(context):
        labels = bias_labels(judged)
        before.append(_push(centred(collection, labels, PAPER_FAMILIES, context.seed)))
        after.append(_push(centred(collection, labels, PAPER_FAMILIES, context.seed, holes)))
        systems = zip(collection.systems, judged_shares(collection)[:, 0].tolist(), strict=True)
        shares[f"judged@10, {judged.name.upper()}"] = ", ".join(f"{name} {share:.2f}" for name, share in systems)
    gone = 1 - np.mean(after, axis=0) / np.mean(before, axis=0)
    interval = percentile_interval(gone[1:])
    details: dict[str, object] = {
        "disfavour as lists are": float(np.mean(before, axis=0)[0]),
        "disfavour after": float(np.mean(after, axis=0)[0]),
    }
    data = "BM25's top 1000 re-ranked by the eight models, DL19 to DL23 (real)"
    return Measurement(float(gone[0]), data, (interval.low, interval.high), details | shares)


def _push(found: Centred) -> FloatArray:
    return np.asarray((found.cross("monoT5", "Rank1") + found.cross("RankLLaMA", "Rank1")) / 2, dtype=np.float64)

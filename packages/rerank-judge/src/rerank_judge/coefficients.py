"""Agreement beyond Cohen's kappa: weighted kappa, Krippendorff's alpha and the Matthews correlation coefficient.

All of them follow from tables of counts that add up over topics. So the pooled value, the value of each topic and the
values of bootstrap resamples are one formula applied to different sums.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from ir_shared.console import UserError
from jaxtyping import Bool, Float64, Int64

from rerank_judge.bootstrap import Interval, percentile_interval, topic_weights
from rerank_judge.collection import BoolArray, Collection, FloatArray, IntArray
from rerank_judge.labeling import LabelSet, human_labels

__all__ = [
    "COEFFICIENTS",
    "Coefficient",
    "Level",
    "alpha_from_coincidences",
    "coefficient",
    "coincidences",
    "mcc_from_tables",
    "rater_alpha",
    "topic_tables",
    "weighted_kappa_from_tables",
]

Level = Literal["nominal", "ordinal", "interval"]
COEFFICIENTS = ("kappa:linear", "kappa:quadratic", "alpha:nominal", "alpha:ordinal", "alpha:interval", "mcc")


@dataclass(frozen=True)
class Coefficient:
    """A coefficient of agreement.

    Attributes:
        name: the coefficient.
        raters: who was compared.
        graded: whether grades were compared, rather than relevant against not relevant.
        value: pooled over all pairs; NaN where undefined, as for raters that are constant and equal.
        per_topic: the value by qid, NaN where undefined.
        interval: bootstrap interval of the pooled value over topics, None if not asked for.
    """

    name: str
    raters: tuple[str, ...]
    graded: bool
    value: float
    per_topic: dict[str, float]
    interval: Interval | None


def coefficient(collection: Collection, labels: LabelSet, name: str, *, n_boot: int = 0, seed: int = 0) -> Coefficient:
    """One coefficient between a judge and the humans, on the pairs that both judged.

    Weighted kappa and alpha compare grades where the judge gives grades (``binarize_at`` above 1), negative ones
    counting 0; a judge of 0 and 1 is compared with the binarised human grades. The Matthews coefficient is binary.

    Args:
        collection: the pairs with their human grades.
        labels: the judge's labels for them.
        name: one of :data:`COEFFICIENTS`.
        n_boot: resamples of topics for the interval; 0 for none.
        seed: seed of the resamples.

    Raises:
        UserError: the name is unknown.
    """
    if name not in COEFFICIENTS:
        raise UserError(f"unknown coefficient {name!r}; use one of {', '.join(COEFFICIENTS)}")
    kind, _, variant = name.partition(":")
    graded = labels.binarize_at > 1 and kind != "mcc"
    tables = topic_tables(collection, labels, graded=graded)
    formulas: dict[str, Callable[[IntArray], FloatArray]] = {
        "mcc": mcc_from_tables,
        "kappa": lambda t: weighted_kappa_from_tables(t, 2 if variant == "quadratic" else 1),
        "alpha": lambda t: alpha_from_coincidences(t + t.swapaxes(-1, -2), _level(variant)),
    }
    return _from_tables(collection, tables, formulas[kind], name, ("human", labels.name), graded, n_boot, seed)


def rater_alpha(
    collection: Collection,
    raters: Sequence[LabelSet],
    level: Level = "nominal",
    *,
    humans: bool = False,
    n_boot: int = 0,
    seed: int = 0,
) -> Coefficient:
    """Krippendorff's alpha among several judges; a pair counts with the raters that know it, if there are two.

    Args:
        collection: the pairs.
        raters: the judges.
        level: how far apart two values are.
        humans: whether the humans are one more rater.
        n_boot: resamples of topics for the interval; 0 for none.
        seed: seed of the resamples.

    Raises:
        UserError: fewer than two raters.
    """
    everyone = [*([human_labels(collection)] if humans else []), *raters]
    if len(everyone) < 2:
        raise UserError(f"alpha needs at least two raters, found {len(everyone)}")
    graded = all(labels.binarize_at > 1 for labels in everyone)
    ratings = np.stack([_ratings(labels, graded) for labels in everyone])
    tables = coincidences(collection, ratings, np.stack([labels.known for labels in everyone]))
    names = tuple(labels.name for labels in everyone)
    return _from_tables(
        collection,
        tables,
        lambda t: alpha_from_coincidences(t, level),
        f"alpha:{level}",
        names,
        graded,
        n_boot,
        seed,
    )


def topic_tables(collection: Collection, labels: LabelSet, *, graded: bool) -> Int64[IntArray, "topics values values"]:
    """Counts by human and judge value over the pairs both judged, [T, G, G], values being 0 to G - 1."""
    both = collection.judged & labels.known
    human, judge = _ratings(human_labels(collection), graded), _ratings(labels, graded)
    size = max(2, 1 + int(max(human[both].max(initial=0), judge[both].max(initial=0))))
    cell = (collection.pair_topic * size + human) * size + judge
    counts = np.bincount(cell[both], minlength=len(collection.topics) * size * size)
    return counts.reshape(-1, size, size).astype(np.int64)


def weighted_kappa_from_tables(
    tables: Int64[IntArray, "*batch values values"], power: int
) -> Float64[FloatArray, "*batch"]:
    """Weighted kappa (Cohen 1968) with disagreement |i - j|^power: 1 for linear weights, 2 for quadratic ones.

    kappa = 1 - sum(w O) / sum(w E), O the table and E = rows x columns / n. NaN where sum(w E) is 0.

    Args:
        tables: counts by the values of two raters, [..., G, G].
        power: exponent of the distance.
    """
    values = np.arange(tables.shape[-1])
    weights = np.abs(values[:, None] - values).astype(np.float64) ** power
    total = tables.sum(axis=(-1, -2))
    expected = np.einsum("...i,...j,ij->...", tables.sum(axis=-1) * 1.0, tables.sum(axis=-2) * 1.0, weights)
    observed = (tables * weights).sum(axis=(-1, -2)) * total
    return _one_minus(observed, expected)


def mcc_from_tables(tables: Int64[IntArray, "*batch 2 2"]) -> Float64[FloatArray, "*batch"]:
    """The Matthews correlation coefficient (phi) of tables [..., 2, 2]; NaN where a side is constant.

    scikit-learn gives 0 there, which would pass for "no better than chance" although nothing could be told.
    """
    (tn, fp), (fn, tp) = np.moveaxis(tables.astype(np.float64), (-2, -1), (0, 1))
    squared = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    undefined = squared == 0
    return np.where(undefined, np.nan, (tp * tn - fp * fn) / np.sqrt(np.where(undefined, 1, squared)))


def coincidences(
    collection: Collection, ratings: Int64[IntArray, "raters pairs"], known: Bool[BoolArray, "raters pairs"]
) -> Float64[FloatArray, "topics values values"]:
    """Krippendorff's coincidence matrix of each topic, [T, G, G].

    Each ordered pair of ratings of one unit, by two raters, counts 1 / (m - 1), m being the unit's ratings.

    Args:
        collection: the pairs, which are the units.
        ratings: values from 0, [raters, N].
        known: which of them were given, [raters, N].
    """
    size = max(2, 1 + int(ratings[known].max(initial=0)))
    counts = np.stack([((ratings == value) & known).sum(axis=0) for value in range(size)], axis=1)
    given = counts.sum(axis=1)
    ordered = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(size, dtype=np.int64)
    units = np.where(given[:, None, None] > 1, ordered / np.maximum(given - 1, 1)[:, None, None], 0.0)
    tables = np.zeros((len(collection.topics), size, size))
    np.add.at(tables, collection.pair_topic, units)
    return tables


def alpha_from_coincidences(
    tables: Float64[FloatArray, "*batch values values"] | Int64[IntArray, "*batch values values"], level: Level
) -> Float64[FloatArray, "*batch"]:
    """Krippendorff's alpha (2011, "Computing Krippendorff's Alpha-Reliability"): 1 - D_o / D_e.

    Args:
        tables: coincidence matrices, [..., G, G].
        level: nominal: any two values differ by 1; interval: by i - j; ordinal: by the ratings between them, half of
            those at the ends counted, so that the distance depends on the table itself.

    Returns:
        Alpha, NaN where no disagreement could be expected, [...].
    """
    marginal = tables.sum(axis=-1).astype(np.float64)
    size = tables.shape[-1]
    if level == "nominal":
        distance = np.broadcast_to(1.0 - np.eye(size), tables.shape)
    else:
        place = np.cumsum(marginal, axis=-1) - marginal / 2 if level == "ordinal" else np.arange(size) * 1.0
        distance = np.broadcast_to((place[..., :, None] - place[..., None, :]) ** 2, tables.shape)
    observed = (tables * distance).sum(axis=(-1, -2)) * (marginal.sum(axis=-1) - 1)
    expected = np.einsum("...i,...j,...ij->...", marginal, marginal, distance)
    return _one_minus(observed, expected)


def _one_minus(observed: FloatArray | np.float64, expected: FloatArray | np.float64) -> FloatArray:
    undefined = expected == 0
    return np.where(undefined, np.nan, 1 - observed / np.where(undefined, 1, expected))


def _ratings(labels: LabelSet, graded: bool) -> IntArray:
    return np.maximum(labels.labels, 0) if graded else labels.relevant.astype(np.int64)


def _level(text: str) -> Level:
    return "ordinal" if text == "ordinal" else "interval" if text == "interval" else "nominal"


def _from_tables(
    collection: Collection,
    tables: IntArray | FloatArray,
    formula: Callable[..., FloatArray],
    name: str,
    raters: tuple[str, ...],
    graded: bool,
    n_boot: int,
    seed: int,
) -> Coefficient:
    interval = None
    if n_boot:
        weights = topic_weights(len(tables), n_boot, seed)
        interval = percentile_interval(formula(np.tensordot(weights, tables, axes=1)))
    per_topic = dict(zip(collection.topics, formula(tables).tolist(), strict=True))
    return Coefficient(name, raters, graded, float(formula(tables.sum(axis=0))), per_topic, interval)

"""The collections and judges that the claims are measured on: published scores if they are there, else toy ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ir_shared.claims import Context
from ir_shared.trec import Run, read_run

from rerank_judge.collection import Collection, FloatArray
from rerank_judge.labeling import Scale, ScoreSet, align_scores
from rerank_judge.toy import toy_collection

__all__ = ["FAMILIES", "Judge", "World", "load_world"]

FAMILIES = ("Rank1", "monoT5", "RankLLaMA")
"""In the order in which the paper finds them to depend on the threshold, least first."""

_PAPER_JUDGES = {
    "rank1-7b": "Rank1",
    "rank1-14b": "Rank1",
    "rank1-32b-awq": "Rank1",
    "monot5-base": "monoT5",
    "monot5-large": "monoT5",
    "monot5-3b": "monoT5",
    "rankllama-v1-7b-lora-passage": "RankLLaMA",
    "rankllama-v1-13b-lora-passage": "RankLLaMA",
}
_YEARS = ("dl22", "dl23")
_TOY_SEEDS = (11, 12)
_TOY_TOPICS = 60


@dataclass(frozen=True)
class Judge:
    """A judge's scores in every collection.

    Attributes:
        name: the judge.
        family: one of :data:`FAMILIES`.
        scores: by collection.
    """

    name: str
    family: str
    scores: dict[str, ScoreSet]


@dataclass(frozen=True)
class World:
    """Two collections and judges of three families.

    Attributes:
        collections: by name.
        judges: the judges.
        data: what this is, for the report.
    """

    collections: dict[str, Collection]
    judges: tuple[Judge, ...]
    data: str


def load_world(context: Context) -> World:
    """The published judges of DL22 and DL23 where the data is there, else the toy ones."""
    if all(context.has_data(f"trec-dl/{year}/judges") for year in _YEARS):
        return _published({year: context.data(f"trec-dl/{year}") for year in _YEARS})
    return _toy()


def _published(folders: dict[str, Path]) -> World:
    collections = {year: Collection.load(_only(folder, "qrels*")) for year, folder in folders.items()}
    judges = []
    for name, family in _PAPER_JUDGES.items():
        scale: Scale = "logit" if family == "RankLLaMA" else "probability"
        runs = {year: read_run(_only(folder, f"judges/{name}.*")) for year, folder in folders.items()}
        aligned = {year: align_scores(collections[year], run, name, scale=scale) for year, run in runs.items()}
        judges.append(Judge(name, family, aligned))
    return World(collections, tuple(judges), "published scores on TREC DL 2022 and 2023 (real)")


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise FileNotFoundError(f"{folder}: expected one file {pattern}, found {len(found)}")
    return found[0]


def _toy() -> World:
    """One toy judge whose scores are stated in three ways: as saturated and as soft probabilities, and as they are."""
    toys = {f"toy{seed}": toy_collection(seed, T=_TOY_TOPICS) for seed in _TOY_SEEDS}
    collections = {name: Collection.from_mappings(toy.qrels) for name, toy in toys.items()}
    ways: dict[str, tuple[Scale, Callable[[FloatArray], FloatArray]]] = {
        # As crowded as Rank1's on DL22 and DL23, where 96 to 97 % of the probabilities above 0.5 are 0.99 or more, with
        # a median log-odds of 12 to 13.
        "Rank1": ("probability", lambda s: _sigmoid(12 * np.tanh(4 * s) + s)),
        "monoT5": ("probability", _sigmoid),
        "RankLLaMA": ("logit", lambda s: s),
    }
    judges = [
        Judge(
            f"toy, stated like {family}",
            family,
            {
                name: align_scores(collections[name], _restated(toy.scores, way), family, scale=scale)
                for name, toy in toys.items()
            },
        )
        for family, (scale, way) in ways.items()
    ]
    return World(collections, tuple(judges), "toy collections with one judge stated in three ways (synthetic)")


def _sigmoid(x: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-x)), dtype=np.float64)


def _restated(scores: Run, way: Callable[[FloatArray], FloatArray]) -> Run:
    return {
        qid: dict(zip(found, way(np.array(list(found.values()))).tolist(), strict=True))
        for qid, found in scores.items()
    }

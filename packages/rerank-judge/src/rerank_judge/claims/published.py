"""The published judges and runs of TREC Deep Learning, as the claims on real data read them."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from ir_shared.claims import Context, Need

from rerank_judge.collection import Collection
from rerank_judge.families import Families
from rerank_judge.judged import JudgedCollection
from rerank_judge.labeling import LabelSet, ScoreSet, as_scale, direct, threshold

__all__ = [
    "PAPER_FAMILIES",
    "UMBRELA",
    "YEARS",
    "bias_labels",
    "needs",
    "paper_needs",
    "reranker_runs",
    "year",
]

UMBRELA = "umbrela-gpt-4o"
PAPER_FAMILIES = Families(
    {
        "monoT5": ("monot5-base", "monot5-large", "monot5-3b"),
        "RankLLaMA": ("rankllama-v1-7b-lora-passage", "rankllama-v1-13b-lora-passage"),
        "Rank1": ("rank1-7b", "rank1-14b", "rank1-32b-awq"),
    },
    baselines=("bm25",),
)
"""The paper's eight judges; its first stage is BM25."""
YEARS = ("dl22", "dl23")
_PAPER_YEARS = ("dl19", "dl20", "dl21", "dl22", "dl23")
_RANKLLAMA = {
    "rankllama-v1-7b-lora-passage": dict(zip(_PAPER_YEARS, (1.6, 1.2, 1.9, 3.3, 1.9), strict=True)),
    "rankllama-v1-13b-lora-passage": dict(zip(_PAPER_YEARS, (3.4, 3.4, 3.7, 4.6, 3.7), strict=True)),
}
"""The thresholds at which the paper labels for its study of bias: those carried over for MAP@100."""
_RERANKED_DEPTH = 1000


def needs(*years: str, runs: bool = False) -> tuple[Need, ...]:
    """Labels and judges of some years, and their runs."""
    found = []
    for name in years:
        place, text = f"trec-dl/{name}", f"TREC Deep Learning 20{name[2:]}"
        found.append(Need(f"{place}/qrels*", f"{text}: passage labels", required=True))
        found.append(Need(f"{place}/judges/*", f"{text}: scores of the judges for every judged pair", required=True))
        if runs:
            found.append(Need(f"{place}/runs/*", f"{text}: submitted runs", required=True))
    return tuple(found)


def paper_needs() -> tuple[Need, ...]:
    """What the paper's own study of bias reads: BM25's top 1000 re-ranked by each judge, for five years."""
    what = "runs of BM25 (bm25.txt) and of BM25's top 1000 re-ranked by each judge, named as the judge"
    return (*needs(*_PAPER_YEARS), *(Need(f"trec-dl/{name}/rerankers/*", what, required=True) for name in _PAPER_YEARS))


def year(context: Context, name: str, *, runs: bool = False) -> JudgedCollection:
    """A year with the paper's judges and UMBRELA; with submitted runs where asked for.

    Raises:
        NeedsData: the year is not there.
    """
    return _year(context.data(f"trec-dl/{name}"), name, runs)


def bias_labels(judged: JudgedCollection) -> list[LabelSet]:
    """The labels of the paper's eight judges in its study of bias: own decisions, or RankLLaMA's thresholds."""
    labels = []
    for name, known in judged.judges.items():
        if isinstance(known, ScoreSet):
            labels.append(threshold(known, _RANKLLAMA[name][judged.name]) if name in _RANKLLAMA else direct(known))
    return labels


def reranker_runs(context: Context) -> list[tuple[JudgedCollection, Collection]]:
    """For each of the paper's years, its judges and the nine systems of the study of bias.

    Raises:
        NeedsData: a year or its re-ranked runs are not there.
    """
    found = []
    for name in _PAPER_YEARS:
        judged, folder = year(context, name), context.data(f"trec-dl/{name}")
        qrels = next(path for path in sorted(folder.glob("qrels*")) if path.is_file())
        runs = context.data(f"trec-dl/{name}/rerankers")
        found.append((judged, Collection.load(qrels, runs, depth=_RERANKED_DEPTH)))
    return found


@lru_cache(maxsize=8)
def _year(folder: Path, name: str, runs: bool) -> JudgedCollection:
    wanted = {judge for family in PAPER_FAMILIES.members.values() for judge in family} | {UMBRELA}
    files = [path for path in sorted((folder / "judges").iterdir()) if path.name.split(".")[0] in wanted]
    qrels = next(path for path in sorted(folder.glob("qrels*")) if path.is_file())
    listed = folder / "runs" if runs else ()
    judged = JudgedCollection.load(name, qrels=qrels, judges=files, runs=listed, depth=_RERANKED_DEPTH)
    scaled = {judge: _scaled(known) for judge, known in judged.judges.items()}
    return replace(judged, judges=scaled)


def _scaled(known: ScoreSet | LabelSet) -> ScoreSet | LabelSet:
    if isinstance(known, LabelSet):
        return known
    return as_scale(known, "logit" if known.name in _RANKLLAMA else "probability")

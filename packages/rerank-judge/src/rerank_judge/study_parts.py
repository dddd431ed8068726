"""The parts of a study: what each one reads, and how it is computed.

A part gives a plain document of numbers and texts, so that a part read back from its file and one just computed make
the same tables and plots.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import Any

from ir_shared.console import UserError

from rerank_judge.agreement import agree
from rerank_judge.bias import bias_report
from rerank_judge.bootstrap import Interval
from rerank_judge.calibration import KAPPA, select_threshold, threshold_for
from rerank_judge.coefficients import coefficient
from rerank_judge.collection import Collection
from rerank_judge.crossval import cross_validate, leave_one_out
from rerank_judge.holes import Holes
from rerank_judge.judged import JudgedCollection
from rerank_judge.judged_pool import judged_pool
from rerank_judge.labeling import LabelSet, ScoreSet, as_scale, direct, human_labels, threshold
from rerank_judge.leaderboard import leaderboard
from rerank_judge.metrics import parse_metric
from rerank_judge.ordering import correlate, tau_b
from rerank_judge.panels import leave_family_out_board
from rerank_judge.study_config import BiasConfig, StudyConfig
from rerank_judge.transfer_table import transfer_table

__all__ = ["Part", "StudyData", "plan"]

_CONDENSED_DEPTH = 1000


@dataclass(frozen=True)
class Part:
    """A part of a study.

    Attributes:
        name: kind and subject, such as "agreement/dl22"; also the name of its file.
        collections: names of the collections that it reads.
        compute: gives its document.
    """

    name: str
    collections: tuple[str, ...]
    compute: Callable[[StudyData], dict[str, Any]]


class StudyData:
    """The collections of a study, each read once, when it is first needed.

    Args:
        config: the study.
    """

    def __init__(self, config: StudyConfig) -> None:
        self.config = config
        self._loaded: dict[str, JudgedCollection] = {}

    def judged(self, name: str) -> JudgedCollection:
        """A collection with its judges."""
        if name not in self._loaded:
            one = next(one for one in self.config.collections if one.name == name)
            depth = max([100, *(parse_metric(metric).k for metric in self.config.metrics)])
            found = JudgedCollection.from_folder(
                name, one.folder, on_missing=one.on_missing, binarize_at=one.binarize_at, depth=depth
            )
            self._loaded[name] = replace(found, judges={j: self._scaled(s) for j, s in found.judges.items()})
        return self._loaded[name]

    def bias_labels(self, name: str) -> tuple[list[LabelSet], dict[str, str]]:
        """Every judge's labels and how they came about: its own, or at a threshold from another collection."""
        judged = self.judged(name)
        labels, how = [], {}
        for judge, known in judged.judges.items():
            if isinstance(known, LabelSet):
                labels.append(known)
                how[judge] = "labels"
            elif known.direct_threshold is not None:
                labels.append(direct(known))
                how[judge] = "own decision"
            elif (found := self._carried_over(name, judge, known)) is not None:
                labels.append(found[0])
                how[judge] = found[1]
        return labels, how

    def _scaled(self, known: ScoreSet | LabelSet) -> ScoreSet | LabelSet:
        scale = self.config.scales.get(known.name)
        return known if scale is None or isinstance(known, LabelSet) else as_scale(known, scale)

    def _carried_over(self, name: str, judge: str, scores: ScoreSet) -> tuple[LabelSet, str] | None:
        """Labels at the best threshold of the first other collection, for the ordering where that has runs."""
        bias = self.config.bias or BiasConfig()
        for one in self.config.collections:
            other = self.judged(one.name)
            theirs = other.judges.get(judge)
            if one.name == name or not isinstance(theirs, ScoreSet):
                continue
            target = f"tau:{bias.metric}" if len(other.collection.systems) > 2 else KAPPA
            selection = select_threshold(other.collection, theirs, target, "paper")
            at = threshold_for(selection, scores)
            return threshold(scores, at), f"threshold {at:.4g}, selected on {one.name} for {target}"
        return None


def plan(config: StudyConfig) -> list[Part]:
    """All parts that a study asks for, the cheap ones first."""
    names = [one.name for one in config.collections]
    parts = [Part(f"agreement/{name}", (name,), _with(_agreement, name)) for name in names]
    with_runs = [one.name for one in config.collections if (one.folder / "runs").is_dir()]
    parts += [Part(f"orderings/{name}", (name,), _with(_orderings, name)) for name in with_runs]
    if config.transfer is not None:
        for target in config.transfer.targets:
            able = names if target == KAPPA else with_runs
            for source, to in permutations(able, 2):
                arguments = (source, to, target)
                parts.append(
                    Part(f"transfer/{source}-to-{to}-{_plain(target)}", (source, to), _with(_transfer, *arguments))
                )
            if len(able) > 2:
                parts.append(Part(f"left-out/{_plain(target)}", tuple(able), _with(_left_out, tuple(able), target)))
        if config.transfer.folds:
            parts += [Part(f"folds/{name}", (name,), _with(_folds, name)) for name in names]
    if config.bias is not None:
        for one in config.collections:
            if one.rerankers is not None:
                parts += [
                    Part(f"bias/{one.name}-{holes}", tuple(names), _with(_bias, one.name, one.rerankers, holes))
                    for holes in config.bias.holes
                ]
            elif config.bias.judged_pool:
                parts.append(Part(f"bias/{one.name}-judged-pool", tuple(names), _with(_bias, one.name, None, "raw")))
    return parts


def _with(compute: Callable[..., dict[str, Any]], *arguments: object) -> Callable[[StudyData], dict[str, Any]]:
    return lambda data: compute(data, *arguments)


def _plain(target: str) -> str:
    return target.replace(":", "-").replace("@", "-")


def _agreement(data: StudyData, name: str) -> dict[str, Any]:
    judged, config = data.judged(name), data.config
    rows = []
    for labels in _own_labels(judged):
        found = agree(judged.collection, labels, n_boot=config.bootstrap, seed=config.seed)
        level = "alpha:ordinal" if labels.binarize_at > 1 else "alpha:nominal"
        row = {"judge": labels.name, "kappa": found.confusion.kappa, "interval": _ends(found.interval)}
        row |= {"accuracy": found.confusion.accuracy, "f1": found.confusion.f1, "alpha_level": level}
        row |= {"mcc": coefficient(judged.collection, labels, "mcc").value, "coverage": str(labels.coverage)}
        rows.append(row | {"alpha": coefficient(judged.collection, labels, level).value})
    counts = {"topics": len(judged.collection.topics), "pairs": judged.collection.n_pairs}
    return {"collection": name, **counts, "relevant": int(judged.collection.relevant.sum()), "rows": rows}


def _orderings(data: StudyData, name: str) -> dict[str, Any]:
    judged, config = data.judged(name), data.config
    reference = leaderboard(judged.collection, human_labels(judged.collection), config.metrics)
    rows = []
    for labels in _own_labels(judged):
        board = leaderboard(judged.collection, labels, config.metrics)
        for found in correlate(reference, board, n_boot=config.bootstrap, seed=config.seed):
            row = {"judge": labels.name, "metric": found.metric, "tau": found.tau, "interval": _ends(found.interval)}
            rows.append(row | {"rho": found.rho, "tau_ap": found.tau_ap})
    return {"collection": name, "systems": len(judged.collection.systems), "rows": rows}


def _transfer(data: StudyData, source: str, to: str, target: str) -> dict[str, Any]:
    grids = data.config.transfer.grids if data.config.transfer else ()
    table = transfer_table(data.judged(source), data.judged(to), target, grids)
    rows = [
        {
            "judge": row.judge,
            "direct": row.direct,
            "grids": {
                grid: {"threshold": one.threshold, "value": one.value, "in_sample": one.in_sample}
                for grid, one in zip(grids, row.transferred, strict=False)
            },
        }
        for row in table.rows
    ]
    return {"source": source, "to": to, "target": target, "rows": rows}


def _left_out(data: StudyData, names: tuple[str, ...], target: str) -> dict[str, Any]:
    collections = [data.judged(name) for name in names]
    shared = [j for j in collections[0].judges if all(isinstance(c.judges.get(j), ScoreSet) for c in collections)]
    rows = [
        {"judge": judge, "to": one.to, "threshold": one.threshold, "value": one.value}
        for judge in shared
        for one in leave_one_out(collections, judge, target)
    ]
    return {"collections": names, "target": target, "rows": rows}


def _folds(data: StudyData, name: str) -> dict[str, Any]:
    judged, config = data.judged(name), data.config
    k = min(config.transfer.folds if config.transfer else 0, len(judged.collection.topics))
    rows = []
    for judge, scores in judged.judges.items():
        if isinstance(scores, ScoreSet):
            found = cross_validate(judged.collection, scores, k=k, seed=config.seed)
            best = select_threshold(judged.collection, scores).value
            thresholds = [selection.threshold for selection in found.selections]
            rows.append({"judge": judge, "value": found.value, "in_sample": best, "thresholds": thresholds})
    return {"collection": name, "folds": k, "rows": rows}


def _bias(data: StudyData, name: str, rerankers: Path | None, holes: Holes) -> dict[str, Any]:
    config, bias = data.config, data.config.bias or BiasConfig()
    judged = data.judged(name)
    labels, how = data.bias_labels(name)
    if rerankers is not None:
        one = next(one for one in config.collections if one.name == name)
        qrels = next(path for path in sorted(one.folder.glob("qrels*")) if path.is_file())
        collection = Collection.load(qrels, rerankers, binarize_at=one.binarize_at, depth=_CONDENSED_DEPTH)
    else:
        scored = [known for known in judged.judges.values() if isinstance(known, ScoreSet)]
        collection = judged_pool(judged.collection, scored)
    report = bias_report(
        collection, labels, bias.families, bias.metric, holes=holes, n_boot=config.bootstrap, seed=config.seed
    )
    systems = "judged pool" if rerankers is None else "re-rankers"
    document = {"collection": name, "systems": systems, "labels": how, "report": report.to_json()}
    members = [one for one in labels if bias.families.of(one.name) is not None]
    try:
        panel = leave_family_out_board(collection, members, bias.families, [bias.metric])
    except UserError:
        return document  # one family alone: nobody outside it could judge
    human = leaderboard(collection, human_labels(collection), [bias.metric])
    return document | {"panel_tau": tau_b(human.means[:, 0], panel.means[:, 0])[0]}


def _own_labels(judged: JudgedCollection) -> list[LabelSet]:
    """The labels of every judge that gives some or decides by itself."""
    labels = []
    for known in judged.judges.values():
        if isinstance(known, LabelSet):
            labels.append(known)
        elif known.direct_threshold is not None:
            labels.append(direct(known))
    return labels


def _ends(interval: Interval | None) -> tuple[float, float] | None:
    return None if interval is None else (interval.low, interval.high)

"""A collection together with its judges, as a folder or as files.

A folder holds one file ``qrels*``, a folder ``judges/`` with a file of scores or labels for each judge, and, where
orderings of systems are wanted, a folder ``runs/``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Unpack

from ir_shared.console import UserError
from ir_shared.trec import run_name

from rerank_judge.collection import Collection, ReadOptions
from rerank_judge.labeling import LabelSet, OnMissing, Scale, ScoreSet, align_labels, align_scores, as_scale
from rerank_judge.scorers.precomputed import JudgeFile, read_judge

__all__ = ["JudgedCollection", "align_judge"]


@dataclass(frozen=True, eq=False)
class JudgedCollection:
    """A collection with its judges.

    Attributes:
        name: short name, such as "dl22".
        collection: pairs, human grades and runs.
        judges: scores or labels by judge.
    """

    name: str
    collection: Collection
    judges: Mapping[str, ScoreSet | LabelSet]

    @classmethod
    def load(
        cls,
        name: str,
        *,
        qrels: str | Path,
        judges: Sequence[str | Path],
        runs: str | Path | Sequence[str | Path] = (),
        on_missing: OnMissing = "error",
        **reading: Unpack[ReadOptions],
    ) -> JudgedCollection:
        """Reads a collection and its judges; a judge is named by its file.

        Args:
            name: short name.
            qrels: qrels file.
            judges: files of scores (run format) or labels (qrels format).
            runs: run files or their folder, needed for orderings only.
            on_missing: what becomes of human pairs that a judge lacks.
            reading: options of :meth:`Collection.load`; ``binarize_at`` is also that of judges with grades.

        Raises:
            UserError: a file cannot be used, or two name the same judge.
        """
        collection = Collection.load(qrels, runs, **reading)
        known: dict[str, ScoreSet | LabelSet] = {}
        for path in judges:
            if run_name(path) in known:
                raise UserError(f"{path}: judge {run_name(path)} of {name} is given twice; rename or remove one file")
            known[run_name(path)] = align_judge(collection, read_judge(path), on_missing=on_missing)
        return cls(name, collection, known)

    @classmethod
    def from_folder(
        cls,
        name: str,
        folder: str | Path,
        *,
        on_missing: OnMissing = "error",
        **reading: Unpack[ReadOptions],
    ) -> JudgedCollection:
        """Reads a folder laid out as this module says; arguments as :meth:`load`.

        Raises:
            UserError: a part is missing, or there are several qrels.
        """
        folder = Path(folder)
        qrels = sorted(path for path in folder.glob("qrels*") if path.is_file())
        if len(qrels) != 1:
            found = ", ".join(path.name for path in qrels) or "none"
            raise UserError(f"{folder}: expected one file named qrels*, found {found}")
        judges = sorted(path for path in (folder / "judges").glob("[!.]*") if path.is_file())
        if not judges:
            raise UserError(f"{folder / 'judges'}: holds no judges; put a file of scores or labels there for each")
        runs = folder / "runs" if (folder / "runs").is_dir() else ()
        return cls.load(name, qrels=qrels[0], judges=judges, runs=runs, on_missing=on_missing, **reading)

    def with_scale(self, scale: Scale, judge: str | None = None) -> JudgedCollection:
        """The same with a judge's scores, or those of all judges, taken for a scale; labels have none.

        Raises:
            UserError: there is no such judge, or its scores cannot be of that scale.
        """
        if judge is not None and judge not in self.judges:
            raise UserError(f"{self.name}: no judge {judge}; the judges are {', '.join(self.judges)}")
        judges = {
            name: as_scale(known, scale) if isinstance(known, ScoreSet) and judge in (None, name) else known
            for name, known in self.judges.items()
        }
        return replace(self, judges=judges)


def align_judge(
    collection: Collection,
    judge: JudgeFile,
    *,
    binarize_at: int | None = None,
    scale: Scale | Literal["auto"] = "auto",
    on_missing: OnMissing = "error",
) -> ScoreSet | LabelSet:
    """Brings a judge's file to a collection.

    Args:
        collection: the pairs.
        judge: scores or labels.
        binarize_at: lowest grade of the judge that counts as relevant. None takes 1 for labels of 0 and 1, and the
            human one for grades.
        scale: what scores are; "auto" takes what the file says, else what it holds.
        on_missing: what becomes of human pairs that the judge lacks.
    """
    if judge.scores is not None:
        scale = judge.scale or "auto" if scale == "auto" else scale
        return align_scores(collection, judge.scores, judge.name, on_missing=on_missing, scale=scale)
    labels = judge.labels or {}
    if binarize_at is None:
        graded = any(grade > 1 for grades in labels.values() for grade in grades.values())
        binarize_at = collection.binarize_at if graded else 1
    return align_labels(collection, labels, judge.name, binarize_at=binarize_at, on_missing=on_missing)

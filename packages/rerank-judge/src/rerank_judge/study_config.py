"""What a study is to do, read from one TOML file.

    title = "Re-rankers as judges on TREC Deep Learning 2022 and 2023"
    bootstrap = 1000                      # resamples of topics, 0 for none
    metrics = ["AP@100", "RR@10", "nDCG@10"]

    [[collections]]                       # a folder with qrels*, judges/ and, where orderings are wanted, runs/
    name = "dl22"
    folder = "trec-dl/dl22"
    rerankers = "trec-dl/dl22/rerankers"  # runs of the judges as systems, where there are some, for their bias

    [scales]                              # what the scores of a judge are, where its file does not tell
    my-judge = "log-odds"

    [transfer]
    targets = ["kappa", "tau:AP@100"]     # what a threshold is selected for
    grids = ["paper", "exact"]            # which thresholds it is selected from
    folds = 5                             # k-fold calibration inside each collection, 0 for none

    [bias]
    metric = "AP@100"
    holes = ["raw", "condensed"]          # with holes as not relevant, and with lists without them
    judged_pool = true                    # without rerankers, let each judge's scores rank the judged passages

    [bias.families]                       # as in a file of families
    monoT5 = ["monot5-base", "monot5-large"]

All but the collections may be left out. Unknown keys are refused with their line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_args

from ir_shared.console import UserError
from ir_shared.toml_config import TomlFile

from rerank_judge.calibration import parse_target
from rerank_judge.families import Families
from rerank_judge.grids import ThresholdGrid
from rerank_judge.holes import Holes
from rerank_judge.labeling import OnMissing, Scale
from rerank_judge.metrics import DEFAULT_METRICS, parse_metric

__all__ = ["BiasConfig", "CollectionConfig", "StudyConfig", "TransferConfig"]

T = TypeVar("T")
_NAME = re.compile(r"[\w-][\w.-]*")
Where = tuple[str | int, ...]


@dataclass(frozen=True)
class CollectionConfig:
    """One collection.

    Attributes:
        name: short name.
        folder: folder with qrels*, judges/ and perhaps runs/.
        rerankers: folder with the judges' own runs, None if there are none.
        binarize_at: lowest human grade that counts as relevant.
        on_missing: what becomes of human pairs that a judge lacks.
    """

    name: str
    folder: Path
    rerankers: Path | None = None
    binarize_at: int = 2
    on_missing: OnMissing = "error"


@dataclass(frozen=True)
class TransferConfig:
    """Thresholds carried over from one collection to another, and k-fold calibration inside one."""

    targets: tuple[str, ...] = ("kappa", "tau:AP@100")
    grids: tuple[str, ...] = ("paper", "exact")
    folds: int = 5


@dataclass(frozen=True)
class BiasConfig:
    """The bias of judges towards systems."""

    metric: str = "AP@100"
    holes: tuple[Holes, ...] = ("raw", "condensed")
    judged_pool: bool = False
    families: Families = field(default_factory=lambda: Families({}))


@dataclass(frozen=True)
class StudyConfig:
    """A whole study.

    Attributes:
        title: its title.
        collections: the collections.
        seed: seed of everything that is drawn.
        bootstrap: resamples of topics for intervals, 0 for none.
        metrics: metrics of the orderings.
        scales: what the scores of a judge are, where its file does not tell.
        transfer: thresholds; None leaves them out.
        bias: bias; None leaves it out.
    """

    title: str
    collections: tuple[CollectionConfig, ...]
    seed: int = 0
    bootstrap: int = 1000
    metrics: tuple[str, ...] = DEFAULT_METRICS
    scales: Mapping[str, Scale] = field(default_factory=dict)
    transfer: TransferConfig | None = None
    bias: BiasConfig | None = None

    @classmethod
    def read(cls, path: str | Path, bases: tuple[Path, ...]) -> StudyConfig:
        """Reads a study.

        Args:
            path: the TOML file.
            bases: folders in which relative paths are looked up, the first that has one wins.

        Raises:
            UserError: the file is missing, no TOML, or has an unknown key or a value that does not fit, with its line.
        """
        reader = _Reader(TomlFile.read(path), bases)
        return reader.study()


@dataclass(frozen=True)
class _Reader:
    file: TomlFile
    bases: tuple[Path, ...]

    def study(self) -> StudyConfig:
        document = self.file.document
        self.file.check_keys(
            document, ("title", "seed", "bootstrap", "metrics", "collections", "scales", "transfer", "bias")
        )
        return StudyConfig(
            title=self.text(document, (), "title", "Re-rankers as relevance judges"),
            collections=self.collections(document),
            seed=self.whole(document, (), "seed", 0),
            bootstrap=self.whole(document, (), "bootstrap", 1000),
            metrics=self.texts(document, (), "metrics", DEFAULT_METRICS, _metric),
            scales=self.scales(document),
            transfer=self.transfer(self.file.table(document, "transfer")) if "transfer" in document else None,
            bias=self.bias(self.file.table(document, "bias")) if "bias" in document else None,
        )

    def collections(self, document: Mapping[str, Any]) -> tuple[CollectionConfig, ...]:
        tables = document.get("collections")
        if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
            raise self.file.error(("collections",), "a study needs at least one [[collections]] with name and folder")
        found = tuple(self.collection(table, ("collections", i)) for i, table in enumerate(tables))
        for i, one in enumerate(found):
            if one.name in [other.name for other in found[:i]]:
                raise self.file.error(("collections", i, "name"), f"collection {one.name!r} is given twice")
        return found

    def collection(self, table: Mapping[str, Any], where: Where) -> CollectionConfig:
        self.file.check_keys(table, ("name", "folder", "rerankers", "binarize_at", "on_missing"), where)
        for key in ("name", "folder"):
            if key not in table:
                raise self.file.error(where, f"a collection needs {key!r}")
        name = self.text(table, where, "name", "")
        if not _NAME.fullmatch(name):
            # Files are called after it.
            raise self.wrong(where, "name", "letters, digits, dots, dashes and underscores, beginning with no dot")
        on_missing = self.text(table, where, "on_missing", "error")
        if on_missing not in get_args(OnMissing):
            raise self.wrong(where, "on_missing", f"one of {', '.join(get_args(OnMissing))}")
        return CollectionConfig(
            name=name,
            folder=self.folder(table, where, "folder"),
            rerankers=self.folder(table, where, "rerankers") if "rerankers" in table else None,
            binarize_at=self.whole(table, where, "binarize_at", 2),
            on_missing=on_missing,
        )

    def scales(self, document: Mapping[str, Any]) -> dict[str, Scale]:
        scales = self.file.table(document, "scales")
        for judge, scale in scales.items():
            if scale not in get_args(Scale):
                raise self.wrong(("scales",), judge, f"one of {', '.join(get_args(Scale))}")
        return dict(scales)

    def transfer(self, table: Mapping[str, Any]) -> TransferConfig:
        where: Where = ("transfer",)
        self.file.check_keys(table, ("targets", "grids", "folds"), where)
        default = TransferConfig()
        return TransferConfig(
            targets=self.texts(table, where, "targets", default.targets, parse_target),
            grids=self.texts(table, where, "grids", default.grids, lambda text: str(ThresholdGrid.parse(text))),
            folds=self.whole(table, where, "folds", default.folds),
        )

    def bias(self, table: Mapping[str, Any]) -> BiasConfig:
        where: Where = ("bias",)
        self.file.check_keys(table, ("metric", "holes", "judged_pool", "families", "baselines", "own"), where)
        default = BiasConfig()
        holes = self.texts(table, where, "holes", default.holes, str)
        if not set(holes) <= {"raw", "condensed"}:
            raise self.wrong(where, "holes", 'a list of "raw" and "condensed"')
        pool = table.get("judged_pool", default.judged_pool)
        if not isinstance(pool, bool):
            raise self.wrong(where, "judged_pool", "true or false")
        named = {key: value for key, value in table.items() if key in ("families", "baselines", "own")}
        return BiasConfig(
            metric=self.parsed(self.text(table, where, "metric", default.metric), (*where, "metric"), _metric),
            holes=tuple(hole for hole in default.holes if hole in holes),
            judged_pool=pool,
            families=Families.from_table(self.file, named, ("bias",)),
        )

    def folder(self, table: Mapping[str, Any], where: Where, key: str) -> Path:
        given = Path(self.text(table, where, key, ""))
        for base in self.bases:
            if (base / given).is_dir():
                return base / given
        tried = ", ".join(str(base) for base in self.bases)
        raise self.file.error((*where, key), f"no folder {given}, looked for in {tried}; give its place with --data")

    def text(self, table: Mapping[str, Any], where: Where, key: str, default: str) -> Any:
        value = table.get(key, default)
        if not isinstance(value, str) or (key in table and not value):
            raise self.wrong(where, key, "a text")
        return value

    def whole(self, table: Mapping[str, Any], where: Where, key: str, default: int) -> int:
        value = table.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self.wrong(where, key, "a whole number, not negative")
        return value

    def texts(
        self, table: Mapping[str, Any], where: Where, key: str, default: tuple[str, ...], parse: Callable[[str], str]
    ) -> tuple[str, ...]:
        value = table.get(key, list(default))
        if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
            raise self.wrong(where, key, "a list of texts")
        return tuple(self.parsed(item, (*where, key), parse) for item in value)

    def parsed(self, value: str, where: Where, parse: Callable[[str], str]) -> str:
        try:
            return parse(value)
        except UserError as error:
            raise self.file.error(where, str(error)) from None

    def wrong(self, where: Where, key: str, expected: str) -> UserError:
        return self.file.error((*where, key), f"{key}: expected {expected}")


def _metric(text: str) -> str:
    return str(parse_metric(text))

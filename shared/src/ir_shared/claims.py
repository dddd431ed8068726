"""Claims: what a paper says, how it is measured here, and when it counts as reproduced.

A package lists its claims in one tuple and names it in the entry-point group ``ir_shared.claims``; the module that
holds the tuple must import quickly, so heavy libraries are imported inside the measuring functions.

    CLAIMS = (
        Claim(
            name="exact-beats-grid",
            statement="An exact threshold agrees better with human labels than one from a grid.",
            paper=None,
            paper_note="the paper uses the grid only",
            unit="κ",
            criterion=Criterion.above(0),
            measure=exact_minus_grid,
            control=Control("the same grid on both sides", grid_minus_grid),
        ),
    )
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points, version
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from ir_shared.verdicts import Criterion, Verdict

__all__ = [
    "GROUP",
    "SCALES",
    "Claim",
    "Context",
    "Control",
    "Criterion",
    "Figure",
    "Measurement",
    "Need",
    "NeedsData",
    "PackageClaims",
    "Scale",
    "Verdict",
    "discover",
]

GROUP = "ir_shared.claims"
"""The entry-point group through which installed packages offer their claims."""

Scale: TypeAlias = Literal["quick", "laptop", "paper"]
SCALES: tuple[Scale, ...] = get_args(Scale)
"""From what needs nothing but the installed packages to the paper's own setting."""


@dataclass(frozen=True)
class Figure:
    """A plot that a measurement made.

    Attributes:
        name: file name without suffix; ``name.svg`` or ``name.png`` lies in the claim's folder.
        caption: one sentence that says what to see in it.
    """

    name: str
    caption: str


@dataclass(frozen=True)
class Measurement:
    """What one measuring call found.

    Attributes:
        value: the figure that the criterion judges.
        data: what it was measured on, real or synthetic, in a few words.
        interval: 95 % interval of a deterministic claim (bootstrap over topics, users or queries); None where exact,
            and for claims with seeds, whose interval comes from the seeds.
        details: further numbers worth printing, by name.
        figures: plots, saved in :attr:`Context.folder`.
    """

    value: float
    data: str
    interval: tuple[float, float] | None = None
    details: Mapping[str, object] = field(default_factory=dict)
    figures: tuple[Figure, ...] = ()


class NeedsData(Exception):  # noqa: N818 - an answer, not a mistake
    """A measurement cannot go on without data that is not there; the message names it."""


def _ignore(share: float) -> None:
    pass


@dataclass(frozen=True)
class Context:
    """What a measuring function is given.

    Attributes:
        scale: the scale asked for.
        seed: the seed of this call; 0 for deterministic claims.
        folder: where figures go; exists.
        data_dir: the folder with one sub-folder per data set, or None.
        report_progress: called with the share done, 0 to 1.
    """

    scale: Scale
    seed: int
    folder: Path
    data_dir: Path | None = None
    report_progress: Callable[[float], None] = _ignore

    def has_data(self, path: str) -> bool:
        """Whether a file or folder is there, relative to the data folder."""
        return self.data_dir is not None and (self.data_dir / path).exists()

    def data(self, path: str) -> Path:
        """A file or folder below the data folder.

        Raises:
            NeedsData: it is not there.
        """
        if self.data_dir is None or not self.has_data(path):
            raise NeedsData(f"{path} (give the folder that holds it with --data)")
        return self.data_dir / path

    def progress(self, done: int, total: int) -> None:
        """Tells whoever watches that ``done`` of ``total`` steps are finished."""
        self.report_progress(done / total)


Measure: TypeAlias = Callable[[Context], Measurement]


@dataclass(frozen=True)
class Control:
    """A variant that must fail the criterion: an ablation, shuffled labels, a published defect."""

    description: str
    measure: Measure


@dataclass(frozen=True)
class Need:
    """Data that a claim reads.

    Attributes:
        path: glob pattern below the data folder, e.g. ``"trec-dl/dl22/judges/*"``.
        what: what it is and where one gets it.
        required: without it there is no verdict; otherwise a substitute is measured, and the report says so.
    """

    path: str
    what: str
    required: bool = False

    def files(self, data_dir: Path | None) -> list[Path]:
        """The files that are there, folders expanded, in a fixed order."""
        if data_dir is None:
            return []
        found = sorted(data_dir.glob(self.path))
        return [
            file for item in found for file in (sorted(item.rglob("*")) if item.is_dir() else [item]) if file.is_file()
        ]


@dataclass(frozen=True)
class Claim:
    """One sentence of a paper, put to the test.

    Attributes:
        name: lower-case words with hyphens; unique within the package.
        statement: the claim in our own words.
        paper: the figure that the paper or its official results report, None where none is established.
        paper_note: where that figure stands, or why there is none.
        unit: unit of the value.
        criterion: when it counts as reproduced.
        measure: measures the value.
        control: must fail the criterion.
        scale: the smallest scale at which it is decided.
        seeds: how many seeds, at least three; 0 for a deterministic claim.
        needs: data it reads.
    """

    name: str
    statement: str
    paper: float | None
    paper_note: str
    unit: str
    criterion: Criterion
    measure: Measure
    control: Control
    scale: Scale = "quick"
    seeds: int = 0
    needs: tuple[Need, ...] = ()

    def __post_init__(self) -> None:
        if self.seeds and self.seeds < 3:
            raise ValueError(f"claim {self.name}: a claim with randomness takes at least three seeds")
        if not self.paper_note:
            raise ValueError(f"claim {self.name}: say where the paper's figure stands, or why there is none")


@dataclass(frozen=True)
class PackageClaims:
    """The claims of one installed package.

    Attributes:
        package: distribution name.
        version: its version.
        sources: folder of its sources.
        claims: its claims; empty when they could not be loaded.
        error: why they could not be loaded.
    """

    package: str
    version: str
    sources: Path
    claims: tuple[Claim, ...] = ()
    error: str | None = None


def discover() -> list[PackageClaims]:
    """The claims of every installed package, by package name."""
    return [_load(entry) for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name)]


def _load(entry: EntryPoint) -> PackageClaims:
    spec = importlib.util.find_spec(entry.module.partition(".")[0])
    sources = Path(spec.origin).parent if spec is not None and spec.origin else Path()
    try:
        claims = tuple(entry.load())
        names = [claim.name for claim in claims]
        repeated = {name for name in names if names.count(name) > 1}
        if repeated:
            raise ValueError(f"claim names given twice: {', '.join(sorted(repeated))}")
    except Exception as error:
        return PackageClaims(entry.name, version(entry.name), sources, error=f"{type(error).__name__}: {error}")
    return PackageClaims(entry.name, version(entry.name), sources, claims)

"""One run from the plan to the report: skip what is unchanged, measure the rest, save each result as it comes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from types import FrameType

from ir_shared.claims import PackageClaims, Scale, Verdict, discover
from ir_shared.console import UserError
from ir_shared.reproduce.live import Silent, View
from ir_shared.reproduce.plan import Task, plan
from ir_shared.reproduce.pool import measure_all
from ir_shared.reproduce.results import DECIDED, Result, load, save

__all__ = ["Session", "data_folder", "run"]


@dataclass
class Session:
    """The state of a run: its tasks, and the results so far.

    Attributes:
        tasks: what was asked, in the order of the report.
        scale: scale of the run.
        broken: packages whose claims could not be loaded.
        results: by ``package/claim``.
        interrupted: whether the run was stopped early.
    """

    tasks: Sequence[Task]
    scale: Scale
    broken: Sequence[PackageClaims] = ()
    results: dict[str, Result] = field(default_factory=dict)
    interrupted: bool = False

    @property
    def missing(self) -> list[Task]:
        """Tasks without a result."""
        return [task for task in self.tasks if task.label not in self.results]

    def ordered(self) -> list[Result]:
        """The results in the order of the tasks, then one for each broken package."""
        found = [self.results[task.label] for task in self.tasks if task.label in self.results]
        return [*found, *(_broken(package, self.scale) for package in self.broken)]

    def measure(self, *, jobs: int = 1, force: bool = False, view: View | None = None) -> None:
        """Fills in the results; on Ctrl-C or SIGTERM keeps what is finished and sets ``interrupted``."""
        view = view or Silent()
        try:
            with _sigterm_interrupts(), view:
                for event in measure_all(self._skip_known(view, force=force), jobs):
                    if event.result is not None:
                        self._keep(event.task, event.result)
                        view.finished(event.task, event.result)
                    elif event.share is not None:
                        view.progressed(event.task, event.share)
                    else:
                        view.started(event.task)
        except KeyboardInterrupt:
            self.interrupted = True

    def _skip_known(self, view: View, *, force: bool) -> list[Task]:
        waiting = []
        for task in self.tasks:
            known = task.settled()
            cached = None if force or known else load(task.folder, task.key)
            result = known or cached
            if result is None:
                waiting.append(task)
                continue
            self.results[task.label] = result
            view.finished(task, result, cached=cached is not None)
        return waiting

    def _keep(self, task: Task, result: Result) -> None:
        self.results[task.label] = result
        if result.verdict in DECIDED:
            save(task.folder, task.key, result)


def run(
    wanted: Sequence[str] = (),
    *,
    scale: Scale = "quick",
    seeds: int | None = None,
    out: str | Path = "report",
    data_dir: str | Path | None = None,
    jobs: int = 1,
    controls: bool = False,
    force: bool = False,
    view_for: Callable[[Sequence[Task]], View] | None = None,
) -> Session:
    """Measures claims and keeps each result below ``out``; the report is written by :func:`ir_shared.report.write`.

    Args:
        wanted: package names or ``package/claim``; empty for every installed package.
        scale: ``"quick"``, ``"laptop"`` or ``"paper"``.
        seeds: number of seeds, at least three; None for each claim's own.
        out: folder of the report.
        data_dir: folder of the data sets; None takes ``$IR_DATA``.
        jobs: worker processes at once.
        controls: measure the controls too.
        force: measure again what is unchanged.
        view_for: makes the view that shows the progress of the tasks.

    Raises:
        UserError: an unknown package or claim, too few seeds, a data folder that is not there, or an ``out`` that
            cannot be written to.
    """
    if jobs < 1:
        raise UserError(f"--jobs {jobs}: give at least one")
    _make_folder(Path(out))  # before hours of measuring, not after
    packages = discover()
    broken = [package for package in packages if package.error and _asked(package.package, wanted)]
    tasks = plan(
        packages,
        wanted=wanted,
        scale=scale,
        seeds=seeds,
        controls=controls,
        out=Path(out),
        data_dir=data_folder(data_dir),
    )
    session = Session(tasks, scale, broken)
    session.measure(jobs=jobs, force=force, view=view_for(tasks) if view_for else None)
    return session


def _asked(package: str, wanted: Sequence[str]) -> bool:
    return not wanted or any(name.partition("/")[0] == package for name in wanted)


def data_folder(given: str | Path | None) -> Path | None:
    """The folder of the data sets: the one given, or ``$IR_DATA``, or None.

    Raises:
        UserError: there is no such folder.
    """
    text = given or os.environ.get("IR_DATA")
    if not text:
        return None
    folder = Path(text).resolve()
    if not folder.is_dir():
        source = "IR_DATA" if str(text) == os.environ.get("IR_DATA") else "--data"
        raise UserError(f"{source} {text}: no such folder; it should hold one folder for each data set")
    return folder


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out):
            pass
    except OSError as error:
        reason = "is a file" if out.is_file() else error.strerror or str(error)
        raise UserError(f"--out {out}: cannot be written to ({reason}); give another folder") from error


def _broken(package: PackageClaims, scale: Scale) -> Result:
    return Result(
        package=package.package,
        version=package.version,
        claim="(all)",
        statement="The claims of this package could not be loaded.",
        paper=None,
        measured=None,
        interval=None,
        unit="",
        criterion="",
        verdict=Verdict.ERROR,
        seconds=0.0,
        seeds=[],
        scale=scale,
        note=package.error or "",
    )


@contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """Treats SIGTERM, which batch systems send before they kill, like Ctrl-C."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not in the main thread, where signals cannot be handled
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

"""What one sees while claims are measured: a live table with a bar for each claim, or plain lines off a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from ir_shared.claims import Verdict
from ir_shared.console import console, notice
from ir_shared.reproduce.plan import Task
from ir_shared.reproduce.results import Result

if TYPE_CHECKING:
    from rich.progress_bar import ProgressBar
    from rich.table import Table

__all__ = ["LiveTable", "PlainLines", "Silent", "View", "view_for"]

COLOURS = {
    Verdict.REPRODUCED: "green",
    Verdict.NOT_REPRODUCED: "red",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.NEEDS_DATA: "cyan",
    Verdict.NEEDS_SCALE: "cyan",
    Verdict.ERROR: "bold red",
}


class View(Protocol):
    """Shows the state of a run."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def started(self, task: Task) -> None:
        """A claim is being measured."""

    def progressed(self, task: Task, share: float) -> None:
        """A claim is done to this share."""

    def finished(self, task: Task, result: Result, *, cached: bool = False) -> None:
        """A claim has a verdict."""


class Silent:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def started(self, task: Task) -> None:
        """Nothing."""

    def progressed(self, task: Task, share: float) -> None:
        """Nothing."""

    def finished(self, task: Task, result: Result, *, cached: bool = False) -> None:
        """Nothing."""


class PlainLines(Silent):
    """One line on stderr for each finished claim, for logs."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._total = len(tasks)
        self._done = 0

    def finished(self, task: Task, result: Result, *, cached: bool = False) -> None:
        """Prints the verdict."""
        self._done += 1
        how = "unchanged" if cached else f"{result.seconds:.1f} s"
        notice(f"[{self._done}/{self._total}] {task.label}: {result.verdict} ({how})")


class LiveTable(Silent):
    """A table that is redrawn in place on stderr."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        from rich.live import Live
        from rich.progress_bar import ProgressBar

        self._tasks = list(tasks)
        self._bars = {task.label: ProgressBar(total=1.0, completed=0.0, width=18) for task in tasks}
        self._since: dict[str, float] = {}
        self._results: dict[str, tuple[Result, bool]] = {}
        self._console = console(stderr=True)
        self._live = Live(console=self._console, get_renderable=self._table, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def started(self, task: Task) -> None:
        """Starts the clock of a claim."""
        self._since[task.label] = time.monotonic()

    def progressed(self, task: Task, share: float) -> None:
        """Moves its bar."""
        self._bars[task.label].update(share)

    def finished(self, task: Task, result: Result, *, cached: bool = False) -> None:
        """Replaces its bar by the verdict."""
        self._results[task.label] = result, cached

    def _table(self) -> Table:
        from rich.table import Table

        table = Table(
            box=None, pad_edge=False, title=f"{len(self._results)} of {len(self._tasks)} claims", title_justify="left"
        )
        table.add_column("claim", no_wrap=True)
        table.add_column("", width=18)
        table.add_column("measured", justify="right")
        table.add_column("seconds", justify="right")
        for task in self._window():
            table.add_row(task.label, *self._cells(task))
        return table

    def _window(self) -> list[Task]:
        """The rows that fit the screen: what runs now and what was finished last come before what waits."""
        room = max(3, self._console.height - 4)
        if len(self._tasks) <= room:
            return self._tasks
        running = [task for task in self._tasks if task.label in self._since and task.label not in self._results]
        ended = [task for task in self._tasks if task.label in self._results]
        shown = {task.label for task in [*running, *ended[::-1], *self._tasks][:room]}
        return [task for task in self._tasks if task.label in shown]

    def _cells(self, task: Task) -> tuple[ProgressBar | str, str, str]:
        from rich.markup import escape

        from ir_shared.report.text import number

        if task.label in self._results:
            result, cached = self._results[task.label]
            measured = "" if result.measured is None else escape(f"{number(result.measured)} {result.unit}".strip())
            seconds = "unchanged" if cached else f"{result.seconds:.1f}"
            return f"[{COLOURS[result.verdict]}]{result.verdict}[/]", measured, seconds
        since = self._since.get(task.label)
        if since is None:
            return "[dim]waiting[/]", "", ""
        return self._bars[task.label], "", f"{time.monotonic() - since:.0f}"


def view_for(tasks: Sequence[Task], *, quiet: bool) -> View:
    """The view that fits: nothing when quiet, a live table on a terminal, lines elsewhere."""
    if quiet:
        return Silent()
    return LiveTable(tasks) if sys.stderr.isatty() else PlainLines(tasks)

"""What a command shows a person: one clear line for an error, quiet progress, tables, and the exit codes.

Progress and notices go to stderr, results to stdout. Off a terminal, progress is silent and tables are plain text.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NoReturn, TextIO, TypeVar

if TYPE_CHECKING:
    import typer
    from rich.console import Console

__all__ = [
    "DataWarning",
    "Exit",
    "PartialResult",
    "UserError",
    "missing_extra",
    "notice",
    "print_json",
    "print_table",
    "run_app",
    "track",
]

T = TypeVar("T")

_FULL = (errno.ENOSPC, errno.EDQUOT)
_NARROWEST_TEXT = 12
"""Columns of text are folded down to so many letters to fit a window."""
_INTERRUPTED_TYPER = 130
"""What typer makes of Ctrl-C; none of our commands ends with it otherwise."""


class Exit(IntEnum):
    """Exit codes, the same in every command."""

    DONE = 0
    BUG = 1
    INPUT = 2
    PARTIAL = 3
    CHECK_FAILED = 4


class UserError(Exception):
    """The user's input cannot be used; the message is one line that says where, what is wrong and what to do."""


class PartialResult(Exception):  # noqa: N818 - it is an outcome, not a mistake
    """The work stopped early, and what was finished is saved; the message says where."""


class DataWarning(UserWarning):
    """The input is usable but something in it should be known."""


def missing_extra(package: str, extra: str, why: str) -> UserError:
    """The error for a part that is not installed, with the remedy.

    Args:
        package: distribution name, e.g. ``"ir-shared"``.
        extra: the extra that brings the part, e.g. ``"lucene"``.
        why: what needs it, e.g. ``"Lucene retrieval"``.
    """
    return UserError(f"{why} needs an extra that is not installed: install {package}[{extra}]")


def console(*, stderr: bool = False) -> Console:
    """A rich console that never invents a width or colours where the output is not a terminal."""
    from rich.console import Console

    return Console(stderr=stderr, soft_wrap=True, highlight=False)


def notice(message: str) -> None:
    """Prints one line of information on stderr."""
    print(message, file=sys.stderr, flush=True)  # noqa: T201


def print_json(document: object) -> None:
    """Prints a result as JSON on stdout; NaN and infinities become null, which JSON can hold."""
    from ir_shared.run_dir import to_jsonable

    print(json.dumps(to_jsonable(document), indent=2, ensure_ascii=False, allow_nan=False))  # noqa: T201


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, left: int = 1) -> None:
    """Prints a table on stdout: rich on a terminal, aligned plain text elsewhere.

    Args:
        title: the line above the table.
        columns: the heads.
        rows: cells; floats are printed to three decimals, None as a dash.
        left: how many leading columns are text (left-aligned); the others are right-aligned.
    """
    cells = [[_cell(value) for value in row] for row in rows]
    if sys.stdout.isatty() and _print_rich(title, columns, cells, left):
        return
    widths = [max(len(column), *(len(row[i]) for row in cells), 0) for i, column in enumerate(columns)]
    lines = [title] if title else []
    for row in [list(columns), *cells]:
        padded = (
            cell.ljust(w) if i < left else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join(padded).rstrip())
    print("\n".join(lines))  # noqa: T201


def _print_rich(title: str, columns: Sequence[str], cells: Sequence[Sequence[str]], left: int) -> bool:
    """Prints a table that fits the window, text folded where it must be; False where the numbers alone are too wide."""
    from rich.table import Table
    from rich.text import Text

    terminal = console()
    # Text() throughout: a name in square brackets is no markup.
    table = Table(title=Text(title) if title else None, title_justify="left", header_style="bold")
    needed = 1
    for i, column in enumerate(columns):
        widest = max((len(row[i]) for row in cells), default=0)
        if i < left:
            table.add_column(Text(column), overflow="fold")
            needed += 3 + min(_NARROWEST_TEXT, max(widest, len(column)))
        else:
            # A long head goes over several lines; a number is never broken.
            head = column if len(column) <= widest else column.replace(" ", "\n")
            table.add_column(Text(head), justify="right", no_wrap=True)
            needed += 3 + max(widest, *map(len, head.split("\n")))
    for row in cells:
        table.add_row(*map(Text, row))
    if needed > terminal.width:
        return False
    terminal.print(table)
    return True


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}"
    return str(value)


def track(items: Iterable[T], description: str, *, total: int | None = None, quiet: bool = False) -> Iterator[T]:
    """Iterates with a progress bar on stderr; silent when stderr is not a terminal or ``quiet`` is set."""
    if quiet or not sys.stderr.isatty():
        yield from items
        return
    from rich.progress import track as rich_track

    yield from rich_track(items, description, total=total, console=console(stderr=True), transient=True)


def run_app(app: typer.Typer | Callable[..., Any], argv: Sequence[str] | None = None) -> NoReturn:
    """Runs a typer application and ends the process with the house's exit codes.

    ``UserError`` becomes one line on stderr and exit code 2; Ctrl-C and :class:`PartialResult` exit with 3; anything
    else that escapes is our bug: its traceback is printed, and the exit code is 1.
    """
    warnings.showwarning = _show_warning
    warnings.simplefilter("always", DataWarning)
    stdout = sys.stdout
    try:
        code = app(args=list(argv) if argv is not None else None, standalone_mode=False)
        sys.stdout.flush()  # here, where an error can still be told
        if code == _INTERRUPTED_TYPER:
            raise KeyboardInterrupt
        sys.exit(code if isinstance(code, int) else Exit.DONE)
    except UserError as error:
        _fail(f"error: {error}", Exit.INPUT)
    except PartialResult as partial:
        _fail(f"stopped early: {partial}", Exit.PARTIAL)
    except (KeyboardInterrupt, EOFError):
        _fail("interrupted", Exit.PARTIAL)
    except BrokenPipeError:
        _end_without_reader()
    except SystemExit:
        if sys.stdout is not stdout:  # typer's way with a broken pipe: it puts another stdout there and exits with 1
            _end_without_reader()
        raise
    except Exception as error:
        _exit_for(error)


def _exit_for(error: Exception) -> NoReturn:
    # click's own exceptions carry a `show` and an exit code; click is typer's dependency, not ours, hence by shape.
    show = getattr(error, "show", None)
    code = getattr(error, "exit_code", None)
    if type(error).__name__ == "Abort":
        _fail("interrupted", Exit.PARTIAL)
    if isinstance(error, OSError) and error.errno in _FULL:
        _fail(f"error: the output cannot be written ({error.strerror}); make room or choose another place", Exit.INPUT)
    if callable(show) and isinstance(code, int):
        show()
        sys.exit(Exit.INPUT)
    if isinstance(code, int):
        sys.exit(code)
    traceback.print_exc()
    _fail("this is a bug in the program, not in your input; please report it with the lines above", Exit.BUG)


def _end_without_reader() -> NoReturn:
    """The reader of our output (``head``, say) has gone: no error, and nothing for the interpreter to complain of."""
    sys.stderr.close()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(Exit.DONE)


def _fail(message: str, code: Exit) -> NoReturn:
    print(message, file=sys.stderr, flush=True)  # noqa: T201
    sys.exit(int(code))


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,  # noqa: ARG001 - the signature is the standard library's
    line: str | None = None,  # noqa: ARG001
) -> None:
    where = "" if issubclass(category, DataWarning) else f" ({category.__name__}, {filename}:{lineno})"
    notice(f"warning: {message}{where}")

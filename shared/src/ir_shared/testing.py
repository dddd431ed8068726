"""For the tests of packages: a command line called as a shell would, and arrays checked against their annotations."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import typer

from ir_shared.console import run_app

__all__ = ["Outcome", "call", "check_shapes"]


class _Captured(Protocol):
    """pytest's ``capsys``, as far as it is needed."""

    def readouterr(self) -> Any: ...


@dataclass(frozen=True)
class Outcome:
    """What a shell sees of a command: exit code, stdout and stderr."""

    code: int
    out: str
    err: str


def call(app: typer.Typer, arguments: Iterable[object], capsys: _Captured) -> Outcome:
    """Calls a command line in this process.

    Args:
        app: the application.
        arguments: what stands behind its name.
        capsys: pytest's fixture.
    """
    with warnings.catch_warnings():
        try:
            run_app(app, [str(argument) for argument in arguments])
        except SystemExit as stop:
            code = int(stop.code or 0)
    printed = capsys.readouterr()
    return Outcome(code, printed.out, printed.err)


def check_shapes(sources: str | Path) -> None:
    """Has types and shapes of arrays checked at every call, in all modules below a folder that annotate them.

    To be called before the first of these modules is imported. An int will do for a float, as PEP 484 has it. Needs
    the extra ``testing``.

    Args:
        sources: the folder that holds the package, such as ``src``.
    """
    from beartype import BeartypeConf, beartype
    from jaxtyping import install_import_hook

    sources = Path(sources)
    files = [file for file in sources.rglob("*.py") if "from jaxtyping import" in file.read_text(encoding="utf-8")]
    modules = [".".join(file.relative_to(sources).with_suffix("").parts) for file in files]
    # The hook takes its checker by name only, so this one is given a module.
    checker: Any = ModuleType("ir_shared_checker")
    checker.check = beartype(conf=BeartypeConf(is_pep484_tower=True))
    sys.modules[checker.__name__] = checker
    install_import_hook(modules, f"{checker.__name__}.check")

"""Fixtures that several files share."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
from beartype import BeartypeConf, beartype
from ir_shared.console import run_app
from jaxtyping import install_import_hook

SOURCES = Path(__file__).parents[1] / "src"


def annotated_modules() -> list[str]:
    """The modules whose arrays have shapes for types."""
    files = [file for file in SOURCES.rglob("*.py") if "from jaxtyping import" in file.read_text(encoding="utf-8")]
    return [".".join(file.relative_to(SOURCES).with_suffix("").parts) for file in files]


# Before the first import: in tests, shapes and types of arrays are checked at every call. An int will do for a float,
# as PEP 484 has it; the hook takes its checker by name, so this one is given a module.
sys.modules["checker"] = ModuleType("checker")
sys.modules["checker"].check = beartype(conf=BeartypeConf(is_pep484_tower=True))  # type: ignore[attr-defined]
install_import_hook(annotated_modules(), "checker.check")

from rerank_judge.cli import app  # noqa: E402
from rerank_judge.collection import Collection  # noqa: E402
from rerank_judge.labeling import ScoreSet  # noqa: E402
from rerank_judge.toy import ToyCollection, toy_collection  # noqa: E402


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def toy11() -> ToyCollection:
    return toy_collection(11)


@pytest.fixture(scope="session")
def toy12() -> ToyCollection:
    return toy_collection(12)


@pytest.fixture(scope="session")
def loaded11(toy11: ToyCollection) -> tuple[Collection, ScoreSet]:
    return toy11.load()


@pytest.fixture(scope="session")
def loaded12(toy12: ToyCollection) -> tuple[Collection, ScoreSet]:
    return toy12.load()


@pytest.fixture(scope="session")
def toy_folder(toy11: ToyCollection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy11.write(tmp_path_factory.mktemp("toy11"))


@pytest.fixture(scope="session")
def toy_folder12(toy12: ToyCollection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy12.write(tmp_path_factory.mktemp("toy12"))


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs the command line as a shell would see it: exit code, stdout, stderr."""

    def run(*argv: object) -> Outcome:
        with warnings.catch_warnings(), pytest.raises(SystemExit) as stop:
            run_app(app, [str(argument) for argument in argv])
        printed = capsys.readouterr()
        return Outcome(int(stop.value.code or 0), printed.out, printed.err)

    return run


@pytest.fixture(scope="session")
def deep_learning() -> Path:
    """The folder of the TREC Deep Learning collections."""
    root = os.environ.get("IR_DATA")
    folder = Path(root) / "trec-dl" if root else None
    if folder is None or not folder.is_dir():
        pytest.skip("needs IR_DATA with trec-dl/dl22 and trec-dl/dl23")
    return folder

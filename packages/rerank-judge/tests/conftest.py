"""Fixtures that several files share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from ir_shared.testing import Outcome, call, check_shapes

# Before the first import of the package.
check_shapes(Path(__file__).parents[1] / "src")

from rerank_judge.cli import app  # noqa: E402
from rerank_judge.collection import Collection  # noqa: E402
from rerank_judge.labeling import ScoreSet  # noqa: E402
from rerank_judge.toy import ToyCollection, toy_collection  # noqa: E402


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

    return lambda *arguments: call(app, arguments, capsys)


@pytest.fixture(scope="session")
def deep_learning() -> Path:
    """The folder of the TREC Deep Learning collections."""
    root = os.environ.get("IR_DATA")
    folder = Path(root) / "trec-dl" if root else None
    if folder is None or not folder.is_dir():
        pytest.skip("needs IR_DATA with trec-dl/dl22 and trec-dl/dl23")
    return folder

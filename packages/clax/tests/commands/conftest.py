"""A small simulated log, and the command line in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from clax.cli import app
from ir_shared.console import run_app
from ir_shared.testing import Outcome, call


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs the command line as a shell would see it: exit code, stdout, stderr."""

    return lambda *arguments: call(app, arguments, capsys)


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of 6,000 sessions of a PBM with 20 queries, 8 documents each and 5 positions."""
    folder = tmp_path_factory.mktemp("pbm")
    arguments = ["simulate", "--model", "pbm", "-n", 6000, "--queries", 20, "--documents", 8, "--max-positions", 5]
    with pytest.raises(SystemExit) as stop:
        run_app(app, [str(a) for a in [*arguments, "-o", folder, "--seed", 3, "--quiet"]])
    assert not stop.value.code
    return folder

"""The members of the workspace, read from its folders, so that a new package is covered without an edit here."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent


def _load_workspace() -> ModuleType:
    spec = importlib.util.spec_from_file_location("workspace", ROOT / ".ci" / "workspace.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["workspace"] = module
    spec.loader.exec_module(module)
    return module


WORKSPACE = _load_workspace()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs a test that asks for ``package`` once a package, one that asks for ``member`` for ir-shared, too."""
    for fixture, found in (("package", WORKSPACE.packages()), ("member", WORKSPACE.members())):
        if fixture in metafunc.fixturenames:
            metafunc.parametrize(fixture, found, ids=lambda one: one.name)


@pytest.fixture
def workspace() -> ModuleType:
    """The module ``.ci/workspace.py``."""
    return WORKSPACE


@pytest.fixture
def root() -> Path:
    """The top folder."""
    return ROOT

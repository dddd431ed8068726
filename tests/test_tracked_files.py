"""What may stand in the repository."""

from __future__ import annotations

import re
import subprocess

import pytest

REGISTRIES = re.compile(rb"(pypi|pythonhosted|npmjs|crates)[.](org|com|io)")
LINES = 300


@pytest.fixture(scope="module")
def tracked(request):
    """The tracked files' paths."""
    top = request.config.rootpath
    done = subprocess.run(["git", "-C", str(top), "ls-files", "-z"], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("needs a git checkout")
    return [path for name in done.stdout.decode().split("\0") if name and (path := top / name).exists()]


def test_no_registry_address(tracked):
    assert [path for path in tracked if REGISTRIES.search(path.read_bytes())] == []


def test_no_lock_with_addresses_no_pickles_and_no_large_files(tracked):
    assert [path for path in tracked if path.name == "uv.lock" or path.suffix in (".pkl", ".pickle")] == []
    assert [path for path in tracked if path.stat().st_size > 1_500_000] == []


def test_files_are_named_after_what_they_hold(tracked):
    assert [path for path in tracked if path.stem in ("util", "utils", "helper", "helpers", "common", "misc")] == []


def test_source_files_are_short(tracked):
    sources = [path for path in tracked if path.suffix == ".py" and "src" in path.parts]
    assert [path for path in sources if len(path.read_text(encoding="utf-8").splitlines()) > LINES] == []

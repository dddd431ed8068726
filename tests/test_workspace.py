"""What a change touches."""

from __future__ import annotations

import pytest


def _names(members):
    return {member.name for member in members}


def test_a_file_of_a_package_touches_that_package_alone(package, workspace):
    assert _names(workspace.touched([f"packages/{package.name}/src/x.py"])) == {package.name}


def test_prose_touches_nothing(workspace):
    assert workspace.touched(["README.md", "docs/index.md", "tests/test_walls.py"]) == []


@pytest.mark.parametrize("path", ["pyproject.toml", "requirements.lock", ".ci/run"])
def test_settings_touch_everything(workspace, path):
    assert _names(workspace.touched([path])) == _names(workspace.packages())


def test_a_shared_module_touches_those_whose_imports_reach_it(workspace):
    reached = _names(workspace.touched(["shared/src/ir_shared/claims.py"]))
    assert reached == _names(workspace.packages())  # every package has claims
    users = {member.name for member in workspace.packages() if any("tiny_models" in name for name in member.imports())}
    assert _names(workspace.touched(["shared/src/ir_shared/tiny_models/__init__.py"])) == users


def test_an_indirect_import_counts(workspace):
    # run_dir is reached through reproduce, which measures every package's claims.
    assert _names(workspace.touched(["shared/src/ir_shared/stats.py"])) == _names(workspace.packages())


def test_imports_are_seen_at_every_depth(workspace, tmp_path):
    file = tmp_path / "m.py"
    file.write_text("import a.b\ndef f():\n    from c.d import e\n    from . import g\n")
    assert set(workspace.imported(file)) == {"a.b", "c.d", "c.d.e"}

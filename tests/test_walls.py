"""Who may import whom, and what a light command may load."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("torch", "jax", "transformers", "recbole", "pyserini", "vllm", "matplotlib")


def _loaded_after(code: str) -> set[str]:
    """Heavy libraries in memory after running code in a fresh interpreter."""
    listing = f"{code}\nimport sys\nprint('|'.join(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True)
    return set(filter(None, done.stdout.rstrip().rpartition("\n")[2].split("|")))


def test_a_package_imports_no_sibling(package, workspace):
    siblings = {other.import_name for other in workspace.packages()} - {package.import_name}
    reached = {name.partition(".")[0] for file in package.source.rglob("*.py") for name in workspace.imported(file)}
    assert reached & siblings == set()


def test_the_shared_package_imports_no_package(workspace, root):
    names = {member.import_name for member in workspace.packages()}
    reached = {
        name.partition(".")[0] for file in (root / "shared/src").rglob("*.py") for name in workspace.imported(file)
    }
    assert reached & names == set()


def test_importing_a_member_loads_nothing_heavy(member):
    # clax and its like are built on jax: their own stack is theirs to load, torch beside it is not.
    allowed = set(member.project[""].get("tool", {}).get("ir", {}).get("loads-on-import", []))
    assert _loaded_after(f"import {member.import_name}") <= allowed


def test_help_loads_neither_torch_nor_jax(member):
    for script, target in member.project.get("scripts", {}).items():
        module, _, function = target.partition(":")
        code = f"import sys\nsys.argv = [{script!r}, '--help']\nfrom {module} import {function}\n"
        code += f"try:\n    {function}()\nexcept SystemExit as end:\n    assert not end.code, end.code"
        assert _loaded_after(code) & {"torch", "jax"} == set()


def test_claims_are_found_without_loading_anything_heavy(package):
    code = "from ir_shared.claims import discover\nfound = {p.package: p for p in discover()}\n"
    code += f"assert found[{package.name!r}].error is None, found[{package.name!r}].error"
    assert _loaded_after(code) & {"torch", "jax"} == set()

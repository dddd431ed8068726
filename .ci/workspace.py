"""What the folders say about the workspace: its members, who imports what, and what a change touches.

Run as a script, prints the names of the packages that a change touches, one a line (``--json`` for a list):

    python .ci/workspace.py --since origin/main
"""

from __future__ import annotations

import argparse
import ast
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SHARED = "ir-shared"


@dataclass(frozen=True)
class Member:
    """A folder that makes one distribution."""

    folder: Path

    @cached_property
    def project(self) -> dict[str, Any]:
        """The ``project`` table of its pyproject.toml, whole file under ``""``."""
        whole = tomllib.loads((self.folder / "pyproject.toml").read_text(encoding="utf-8"))
        return {**whole["project"], "": whole}

    @property
    def name(self) -> str:
        """Distribution name."""
        return str(self.project["name"])

    @property
    def version(self) -> str:
        """Version."""
        return str(self.project["version"])

    @property
    def import_name(self) -> str:
        """Name of the module it installs."""
        return self.name.replace("-", "_")

    @property
    def source(self) -> Path:
        """Folder of that module."""
        return self.folder / "src" / self.import_name

    @property
    def scripts(self) -> list[str]:
        """Its console scripts."""
        return list(self.project.get("scripts", {}))

    def imports(self) -> set[str]:
        """Every module that its sources and tests import, with the line's full dotted name."""
        return {name for file in self.folder.rglob("*.py") if ".venv" not in file.parts for name in imported(file)}


def packages() -> list[Member]:
    """The packages, by name."""
    return [Member(file.parent) for file in sorted(ROOT.glob("packages/*/pyproject.toml"))]


def members() -> list[Member]:
    """The shared package, then the others."""
    return [Member(ROOT / "shared"), *packages()]


def imported(file: Path) -> Iterator[str]:
    """The dotted names that a file imports, at whatever depth: for ``from a.b import c`` both ``a.b`` and ``a.b.c``."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), str(file))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def touched(changed: Iterable[str]) -> list[Member]:
    """The packages whose tests can come out differently after a change of these files (paths from the root).

    A file of a package touches that package; one of ``shared/src`` those whose imports reach it; prose nothing;
    anything else at the top (the lock, tool settings, CI) everything.
    """
    found: set[str] = set()
    reach = _reach()
    for path in map(Path, changed):
        top = path.parts[0]
        if top == "packages" and len(path.parts) > 1:
            found |= {member.name for member in packages() if member.folder.name == path.parts[1]}
        elif path.parts[:2] == ("shared", "src"):
            module = _module_of(path)
            found |= {name for name, modules in reach.items() if module in modules}
        elif top in ("docs", "tests", "shared") or path.suffix == ".md":
            continue
        else:
            found |= {member.name for member in packages()}
    return [member for member in packages() if member.name in found]


def _module_of(path: Path) -> str:
    parts = path.with_suffix("").parts[2:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" or path.suffix != ".py" else parts)


def _reach() -> dict[str, set[str]]:
    """For each package the modules of ``ir_shared`` that its imports reach, through other modules of it, too."""
    source = ROOT / "shared" / "src"
    files = {_module_of(file.relative_to(ROOT)): file for file in source.rglob("*.py")}
    graph = {module: {name for name in imported(file) if name in files} for module, file in files.items()}
    reached = {}
    for member in packages():
        waiting = [name for name in member.imports() if name in files]
        if "ir_shared.claims" in waiting:
            waiting.append("ir_shared.reproduce.worker")  # what runs a package's claims
        seen: set[str] = set()
        while waiting:
            module = waiting.pop()
            parents = {module.rpartition(".")[0]} & files.keys()
            if module not in seen:
                seen.add(module)
                waiting += [*graph[module], *parents]
        reached[member.name] = seen
    return reached


def changed_since(base: str) -> list[str] | None:
    """Files that differ from the point where ``base`` was left; None where git cannot tell."""
    command = ["git", "-C", str(ROOT), "diff", "--name-only", f"{base}...HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.split("\n")[:-1] if done.returncode == 0 else None


def main() -> int:
    """The script."""
    parser = argparse.ArgumentParser(
        description="Prints the packages that a change touches; all where git cannot tell."
    )
    parser.add_argument("--since", metavar="REF", help="the state to compare with; without it, all packages")
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    arguments = parser.parse_args()
    changed = changed_since(arguments.since) if arguments.since else None
    names = [member.name for member in (packages() if changed is None else touched(changed))]
    print(json.dumps(names) if arguments.json else "\n".join(names))
    return 0


if __name__ == "__main__":
    sys.exit(main())

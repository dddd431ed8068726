"""Checks a release tag ``<package>-v<version>`` against the folders, and prints what the workflow needs to know.

Refuses a tag of an unknown package, a version other than the one in pyproject.toml, a changelog without that version,
and a package whose pyproject.toml forbids the upload with ``[tool.ir] no-upload = "reason"``.
"""

from __future__ import annotations

import re
import sys

from workspace import members


def problem(tag: str) -> str | None:
    """Why this tag cannot be released, or None."""
    name, _, version = tag.rpartition("-v")
    member = next((one for one in members() if one.name == name), None)
    if member is None:
        return f"{tag}: no member is called {name!r}; tags read <package>-v<version>"
    if version != member.version:
        return f"{tag}: {name} is at version {member.version}"
    if not re.search(
        rf"^## \[{re.escape(version)}\]", (member.folder / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE
    ):
        return f"{tag}: the changelog has no section [{version}]"
    reason = member.project[""].get("tool", {}).get("ir", {}).get("no-upload")
    return f"{tag}: {reason}" if reason else None


def main() -> int:
    """The script."""
    if len(sys.argv) != 2:
        print("usage: release.py TAG", file=sys.stderr)
        return 2
    why = problem(sys.argv[1])
    if why:
        print(why, file=sys.stderr)
        return 1
    name = sys.argv[1].rpartition("-v")[0]
    folder = next(one.folder for one in members() if one.name == name)
    print(f"package={name}\nfolder={folder.relative_to(folder.parent.parent) if name != 'ir-shared' else 'shared'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

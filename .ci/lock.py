"""Checks requirements.lock against what the workspace resolves to, or writes it.

The lock lists every distribution of every member, extra and group with its hashes, and no address: whoever installs
from it chooses the index.

    python .ci/lock.py            # exit 1 where a name==version line differs
    python .ci/lock.py --write
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
HEADER = (
    "# Every distribution of the workspace, with hashes and without addresses. Written by: python .ci/lock.py --write\n"
)
EXPORT = [
    "uv",
    "export",
    "--quiet",
    "--all-packages",
    "--all-extras",
    "--all-groups",
    "--no-emit-workspace",
    "--no-annotate",
    "--no-header",
    "--format=requirements.txt",
]


def pins(text: str) -> set[str]:
    """The ``name==version`` parts, with their environment markers."""
    return {line.rstrip("\\ ").strip() for line in text.splitlines() if re.match(r"[A-Za-z0-9]", line)}


def main() -> int:
    """The script."""
    exported = subprocess.run(EXPORT, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    if "://" in exported:
        print("the export names an address; the lock must not", file=sys.stderr)
        return 1
    if "--write" in sys.argv[1:]:
        LOCK.write_text(HEADER + exported, encoding="utf-8")
        return 0
    held = pins(LOCK.read_text(encoding="utf-8")) if LOCK.exists() else set()
    wanted = pins(exported)
    for sign, lines in (("+", wanted - held), ("-", held - wanted)):
        for line in sorted(lines):
            print(f"{sign} {line}")
    if held != wanted:
        print("requirements.lock is out of date; write it with: python .ci/lock.py --write", file=sys.stderr)
    return int(held != wanted)


if __name__ == "__main__":
    sys.exit(main())

"""Every command and code block of the READMEs and guides, executed in order, as a reader would.

Blocks marked ``bash`` and ``python`` of one file run one after the other in one empty folder; those of the top README
in a fresh clone. A block that names ``$IR_DATA`` is skipped without it. What cannot run here (installing from an index,
another machine) stands in blocks marked ``console``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TEXTS = sorted(
    file
    for pattern in ("*.md", "docs/**/*.md", "shared/*.md", "packages/*/*.md", "packages/*/docs/**/*.md")
    for file in ROOT.glob(pattern)
    if BLOCK.search(file.read_text(encoding="utf-8"))
)


@pytest.mark.parametrize("text", TEXTS, ids=[str(text.relative_to(ROOT)) for text in TEXTS])
def test_every_block_runs(text, tmp_path):
    environment = {
        **{name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    here = tmp_path / "here"
    if text.parent == ROOT:
        if shutil.which("uv") is None:
            pytest.skip("needs uv on the PATH")
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(here)], check=True)
    else:
        here.mkdir()
    for language, code in BLOCK.findall(text.read_text(encoding="utf-8")):
        if "$IR_DATA" in code and "IR_DATA" not in os.environ:
            continue
        command = ["bash", "-euo", "pipefail", "-c", code] if language == "bash" else [sys.executable, "-c", code]
        done = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{code}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"

"""A real installed distribution with claims of every kind, made on the spot."""

from __future__ import annotations

import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from fcntl import ioctl
from pathlib import Path

import pytest

CLAIMS = """
import os, time
from pathlib import Path
from ir_shared.claims import Claim, Control, Criterion, Figure, Measurement, Need

HERE = Path(__file__).parent

def seeded(context):
    with (HERE / "calls.log").open("a") as log:
        log.write(f"seeded {context.seed}\\n")
    context.progress(1, 2)
    (context.folder / "plot.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    plots = (Figure("plot", "A plot."),)
    return Measurement(1.0 + 0.01 * context.seed, "synthetic demo", figures=plots, details={"n": 3})

def draw(context):
    import torch
    return Measurement(float(torch.rand(())), "a draw of torch")

def low(context):
    return Measurement(0.0, "synthetic demo")

def wide(context):
    return Measurement(0.5, "synthetic demo", interval=(0.0, 1.0))

def broken(context):
    print("noise on stdout that is no event")
    raise RuntimeError("something broke <here>")

def crash(context):
    os._exit(7)

def slow(context):
    (HERE / "slow.started").touch()
    time.sleep(60)

def reads(context):
    return Measurement(float(context.data("demo/value.txt").read_text()), "demo/value.txt (real)")

def endless(context):
    return Measurement(1.0, "synthetic demo", interval=(0.6, float("inf")))

def make(name, measure, control=low, **more):
    criterion = more.pop("criterion", Criterion.at_least(0.5))
    unit = more.pop("unit", "points")
    statement = f"The claim {name} holds."
    return Claim(name, statement, 1.2, "table 1", unit, criterion, measure, Control("a control", control), **more)

CLAIMS = (
    make("seeded", seeded, seeds=3),
    make("low", low),
    make("wide", wide),
    make("broken", broken),
    make("crash", crash),
    make("bad-control", wide, control=seeded, criterion=Criterion.at_least(-1)),
    make("big", low, scale="paper"),
    make("data", reads, needs=(Need("demo/value.txt", "one number", required=True),)),
    make("late-data", reads),
    make("endless", endless),
    make("a-name-that-takes-most-of-a-narrow-window", seeded, unit="[kg]", seeds=3),
    make("slow", slow),
    make("draw", draw, seeds=3),
)
"""


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """The site folder of an installed distribution ``demo`` whose claims get every verdict."""
    site = tmp_path / "site"
    (site / "demo_claims").mkdir(parents=True)
    (site / "demo_claims" / "__init__.py").write_text(CLAIMS)
    info = site / "demo-1.2.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: demo\nVersion: 1.2.3\nRequires-Dist: numpy\nRequires-Dist: torch\n"
    )
    (info / "entry_points.txt").write_text("[ir_shared.claims]\ndemo = demo_claims:CLAIMS\n")
    return site


@pytest.fixture
def environment(demo: Path) -> dict[str, str]:
    """The environment in which ``demo`` is installed and no data folder is set."""
    kept = {name: value for name, value in os.environ.items() if name != "IR_DATA"}
    return {**kept, "PYTHONPATH": str(demo), "COLUMNS": "200"}


@pytest.fixture
def reproduce(environment: dict[str, str], tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command ``reproduce`` in ``tmp_path``."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ir_shared.reproduce.cli", *arguments]
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    return run


@pytest.fixture
def on_a_terminal(environment: dict[str, str], tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Runs the command ``reproduce`` in ``tmp_path`` on a terminal of a given width; gives exit code and output."""

    def run(columns: int, *arguments: str) -> tuple[int, str]:
        ours, theirs = pty.openpty()
        ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        kept = {name: value for name, value in environment.items() if name != "COLUMNS"}
        command = [sys.executable, "-m", "ir_shared.reproduce.cli", *arguments]
        terminal = {**kept, "TERM": "xterm-256color"}
        process = subprocess.Popen(command, env=terminal, cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        output = b""
        try:
            while part := os.read(ours, 65536):
                output += part
        except OSError:  # how Linux says that the other side is closed
            pass
        os.close(ours)
        return process.wait(timeout=60), output.decode()

    return run

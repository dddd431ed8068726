"""Bad input exits with 2 and one line; Ctrl-C exits with 3, keeps what is finished, and can be gone on from."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time

import pytest

# Most of a short command's time is spent compiling; the arithmetic is the same with less of it.
FAST = {**os.environ, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "nothing.parquet", "-o", "m"], "no such file"),
        (["fit", "-o", "m"], "no training log is given"),
        (["fit", "LOG", "--model", "xyz", "-o", "m"], "no click model 'xyz'"),
        (["fit", "LOG", "--lr", "0", "-o", "m"], "must be above 0"),
        (["compare", "LOG", "--models", "pbm,xyz"], "no click model 'xyz'"),
        (["compare", "LOG", "--models", ","], "no model to compare"),
        (["evaluate", "nowhere", "LOG"], "no such file"),
        (["convert", "long", "none.csv", "-o", "d"], "no such file"),
        (["convert", "long", "LOG", "--columns", "who=x", "-o", "d"], "expected KEY=NAME"),
        (["convert", "polars", "LOG", "-o", "d"], "Invalid value"),
        (["simulate", "--documents", "3", "-o", "d"], "too few"),
    ],
)
def test_bad_input_exits_2_with_one_line(cli, simulated, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    outcome = cli(*[simulated / "sessions.parquet" if a == "LOG" else a for a in arguments])
    assert outcome.code == 2
    assert message in outcome.err
    assert "Traceback" not in outcome.err


def test_ctrl_c_keeps_the_last_checkpoint_exits_3_and_can_be_resumed(cli, simulated, tmp_path):
    log, folder = simulated / "sessions.parquet", tmp_path / "m"
    arguments = [
        "fit",
        str(log),
        "--model",
        "pbm",
        "--epochs",
        "500",
        "--lr",
        "1e-5",
        "-o",
        str(folder),
        "--batch-size",
        "64",
    ]
    command = [sys.executable, "-c", "from clax.cli import main; main()", *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=FAST)
    for line in process.stderr:
        if line.startswith("epoch 2"):
            break
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 3, rest
    assert "go on with --resume" in rest
    assert cli("evaluate", folder, log, "--quiet").code == 0  # the checkpoint is an ordinary model
    again = cli(*arguments)
    assert (again.code, "holds an unfinished training" in again.err) == (2, True)
    done = len((folder / "history.csv").read_text().splitlines()) - 1
    # The state may be one epoch ahead of the model: the signal can come between the two.
    arguments[arguments.index("500")] = str(done + 2)
    resumed = cli(*arguments, "--resume")
    assert resumed.code == 0, resumed.err
    assert resumed.err.startswith((f"epoch {done + 1}", f"epoch {done + 2}"))
    with (folder / "history.csv").open() as file:
        assert [int(line["epoch"]) for line in csv.DictReader(file)] == list(range(1, done + 3))
    assert not (folder / "state.safetensors").exists()

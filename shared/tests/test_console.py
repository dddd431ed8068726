from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import warnings
import typer
from ir_shared.console import DataWarning, PartialResult, UserError, print_json, print_table, run_app, track
app = typer.Typer(pretty_exceptions_enable=False)

@app.command()
def main(how: str, number: int = 0) -> int:
    if how == "user": raise UserError("a.txt:3: bad line; mend it")
    if how == "partial": raise PartialResult("kept in out/")
    if how == "interrupt": raise KeyboardInterrupt
    if how == "bug": raise ZeroDivisionError("oops")
    if how == "warn": warnings.warn("odd but usable", DataWarning)
    if how == "check": return 4
    if how == "exit": raise typer.Exit(4)
    if how == "table": print_table("Title", ["name", "value"], [["a", 0.12345], ["longer", None]])
    if how == "json": print_json({"a": float("nan")})
    if how == "track": print(sum(track(range(4), "adding")))
    return 0

run_app(app)
"""


def _run(*arguments):
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("how", "code", "stderr"),
    [
        ("user", 2, "error: a.txt:3: bad line; mend it\n"),
        ("partial", 3, "stopped early: kept in out/\n"),
        ("interrupt", 3, "interrupted\n"),
        ("warn", 0, "warning: odd but usable\n"),
        ("check", 4, ""),
        ("exit", 4, ""),
        ("fine", 0, ""),
    ],
)
def test_each_end_has_its_exit_code_and_one_line(how, code, stderr):
    done = _run(how)
    assert (done.returncode, done.stderr) == (code, stderr)


def test_a_bug_shows_its_traceback_and_says_whose_it_is():
    done = _run("bug")
    assert done.returncode == 1
    assert "ZeroDivisionError: oops" in done.stderr
    assert "bug in the program" in done.stderr


def test_a_wrong_option_is_the_users():
    done = _run("fine", "--number", "x")
    assert done.returncode == 2
    assert "Invalid value for '--number'" in done.stderr
    assert "Traceback" not in done.stderr


def test_results_are_plain_text_off_a_terminal():
    assert _run("table").stdout == "Title\nname    value\na       0.123\nlonger      -\n"
    assert _run("json").stdout == '{\n  "a": null\n}\n'
    assert (_run("track").stdout, _run("track").stderr) == ("6\n", "")


def test_output_that_finds_no_room_is_the_users_to_mend():
    for how in ("table", "json"):
        command = f"{sys.executable} -c 'import sys; exec(sys.stdin.read())' {how} > /dev/full"
        done = subprocess.run(["bash", "-c", command], input=PROGRAM, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert "No space left on device" in done.stderr


def test_a_reader_that_goes_away_is_no_error():
    command = f"{sys.executable} -c 'import sys; exec(sys.stdin.read())'"
    program = PROGRAM.replace('print(sum(track(range(4), "adding")))', "[print(i) for i in range(100000)]")
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} track | head -1"],
        input=program,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")

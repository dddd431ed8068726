from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import pytest

UNTIL_SLOW = ["demo/seeded", "demo/low", "demo/wide", "demo/data", "demo/big", "demo/late-data"]


def _report(tmp_path):
    return {entry["claim"]: entry for entry in json.loads((tmp_path / "report" / "report.json").read_text())}


def test_every_verdict_is_given_for_its_reason(reproduce, tmp_path):
    done = reproduce("run", *UNTIL_SLOW, "demo/broken", "demo/crash")
    assert done.returncode == 1, done.stderr  # two claims broke
    report = _report(tmp_path)
    assert {name: entry["verdict"] for name, entry in report.items()} == {
        "seeded": "reproduced",
        "low": "not reproduced",
        "wide": "inconclusive",
        "broken": "error",
        "crash": "error",
        "data": "needs data",
        "big": "needs scale",
        "late-data": "needs data",
    }
    assert "RuntimeError: something broke" in report["broken"]["note"]
    assert "exit code 7" in report["crash"]["note"]
    assert "--data" in report["data"]["note"]
    assert "--data" in report["late-data"]["note"]
    assert report["big"]["note"] == "is decided at --scale paper"


def test_the_report_lists_what_the_contract_names(reproduce, tmp_path):
    assert reproduce("run", "demo/seeded").returncode == 0
    entry = _report(tmp_path)["seeded"]
    keys = "package version claim statement paper measured interval unit criterion verdict seconds seeds scale figures"
    assert list(entry)[:14] == keys.split()
    assert entry["seeds"] == [0, 1, 2]
    assert entry["values"] == [1.0, 1.01, 1.02]
    assert entry["measured"] == pytest.approx(1.01)
    # t(2, .975) = 4.302653 times the standard error .01 / sqrt(3)
    assert entry["interval"] == pytest.approx([1.01 - 0.0248414, 1.01 + 0.0248414], abs=1e-6)
    assert (tmp_path / "report" / entry["figures"][0]["path"]).exists()


def test_more_seeds_on_request_and_never_fewer_than_three(reproduce, tmp_path):
    assert reproduce("run", "demo/seeded", "--seeds", "5").returncode == 0
    assert _report(tmp_path)["seeded"]["seeds"] == [0, 1, 2, 3, 4]
    refused = reproduce("run", "demo/seeded", "--seeds", "2")
    assert refused.returncode == 2
    assert "at least three seeds" in refused.stderr


def test_a_control_that_meets_the_criterion_spoils_the_claim(reproduce, tmp_path):
    assert reproduce("run", "demo/bad-control").returncode == 0
    assert reproduce("run", "demo/bad-control", "demo/seeded", "--controls").returncode == 1
    report = _report(tmp_path)
    assert report["bad-control"]["verdict"] == "error"
    assert "control meets the criterion" in report["bad-control"]["note"]
    assert report["seeded"]["control"]["verdict"] == "not reproduced"


def test_what_is_unchanged_is_not_measured_again(reproduce, demo, tmp_path):
    log = demo / "demo_claims" / "calls.log"
    reproduce("run", "demo/seeded")
    assert len(log.read_text().splitlines()) == 3
    # The log lies among the package's sources, which the key covers.
    log.unlink()
    again = reproduce("run", "demo/seeded")
    assert "unchanged" in again.stderr
    assert not log.exists()
    reproduce("run", "demo/seeded", "--force")
    assert log.exists()
    log.unlink()
    source = demo / "demo_claims" / "__init__.py"
    source.write_text(source.read_text() + "# changed\n")
    reproduce("run", "demo/seeded")
    assert log.exists()


def test_changed_data_is_measured_again(reproduce, tmp_path):
    data = tmp_path / "data" / "demo"
    data.mkdir(parents=True)
    for text, verdict in (("0.9", "reproduced"), ("0.1", "not reproduced")):
        (data / "value.txt").write_text(text)
        assert reproduce("run", "demo/data", "--data", "data").returncode == 0
        assert _report(tmp_path)["data"]["verdict"] == verdict


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_keeps_what_is_finished(environment, demo, tmp_path, how):
    command = [sys.executable, "-m", "ir_shared.reproduce.cli", "run", "demo/low", "demo/slow", "--out", "r"]
    process = subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    started = demo / "demo_claims" / "slow.started"
    deadline = time.monotonic() + 30
    while not started.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(how)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 3, stderr
    assert "1 claim(s) not run" in stderr
    report = json.loads((tmp_path / "r" / "report.json").read_text())
    assert [entry["claim"] for entry in report] == ["low"]
    assert "demo/slow" in (tmp_path / "r" / "index.html").read_text()


def test_several_jobs_give_the_same_report(reproduce, tmp_path):
    reproduce("run", *UNTIL_SLOW, "--out", "one")
    reproduce("run", *UNTIL_SLOW, "--out", "two", "--jobs", "3")
    one, two = (json.loads((tmp_path / name / "report.json").read_text()) for name in ("one", "two"))
    for entry in [*one, *two]:
        del entry["seconds"]
    assert one == two


def test_fail_on_a_verdict_gives_exit_code_4(reproduce):
    assert reproduce("run", "demo/low", "--fail-on", "not reproduced").returncode == 4
    assert reproduce("run", "demo/seeded", "--fail-on", "not reproduced").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "nothing"], "no installed package 'nothing' has claims"),
        (["run", "demo/nothing"], "demo has no claim nothing; it has: seeded, low"),
        (["run", "demo/low", "--data", "absent"], "no such folder"),
        (["run", "demo/low", "--jobs", "0"], "at least one"),
        (["run", "demo/low", "--scale", "huge"], "huge"),
        (["run", "demo/low", "--out", "site/demo_claims/__init__.py"], "is a file); give another folder"),
        (["list", "--data", "absent"], "--data absent: no such folder"),
    ],
)
def test_wrong_arguments_are_named_and_exit_with_2(reproduce, arguments, message):
    done = reproduce(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_data_folder_from_the_environment_that_is_not_there_is_named_as_such(environment, tmp_path):
    command = [sys.executable, "-m", "ir_shared.reproduce.cli", "run", "demo/low"]
    wrong = {**environment, "IR_DATA": "absent"}
    done = subprocess.run(command, env=wrong, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.startswith("error: IR_DATA absent: no such folder")) == (2, True)


def test_a_report_that_cannot_be_written_is_refused_before_measuring(reproduce, demo):
    done = reproduce("run", "demo/seeded", "--out", "/proc/absent")
    assert (done.returncode, "/proc/absent: cannot be written to" in done.stderr) == (2, True)
    assert not (demo / "demo_claims" / "calls.log").exists()


@pytest.mark.parametrize("spoil", ["result", "figure"])
def test_a_damaged_earlier_result_is_measured_again(reproduce, tmp_path, spoil):
    reproduce("run", "demo/seeded")
    folder = tmp_path / "report" / "claims" / "demo" / "seeded" / "quick"
    if spoil == "result":
        (folder / "result.json").write_text("{")
    else:
        (folder / "plot.svg").unlink()
    # The log of calls lies among the sources, so only the second run's key is that of the first.
    done = reproduce("run", "demo/seeded")
    assert (done.returncode, "unchanged" in done.stderr) == (0, False), done.stderr
    assert (folder / "plot.svg").exists()


def test_a_value_without_end_decides_nothing(reproduce, tmp_path):
    assert reproduce("run", "demo/endless").returncode == 1
    assert "cannot decide" in _report(tmp_path)["endless"]["note"]


@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal_shows_a_live_table_and_whole_names(on_a_terminal, columns):
    code, screen = on_a_terminal(columns, "run", "demo/seeded", "demo/a-name-that-takes-most-of-a-narrow-window")
    assert code == 0, screen
    assert "━━━" in screen
    assert "0 of 2 claims" in screen
    assert "[kg]" in screen  # a unit, no markup
    shown = "".join(screen.split())
    assert "a-name-that-takes-most" in shown
    assert "…" not in screen.rpartition("┏")[2]


def test_list_shows_claims_and_needs(reproduce):
    listed = reproduce("list", "--needs").stdout
    assert "demo 1.2.3" in listed
    assert "The claim seeded holds." in listed
    assert "demo/value.txt [missing, required] one number" in listed
    document = json.loads(reproduce("list", "--json").stdout)
    assert {"package": "demo", "claim": "seeded"}.items() <= document[
        [d["claim"] for d in document].index("seeded")
    ].items()


def test_a_package_that_cannot_be_loaded_is_reported_and_the_others_run(reproduce, demo, tmp_path):
    broken = demo / "broken-0.1.dist-info"
    broken.mkdir()
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 0.1\n")
    (broken / "entry_points.txt").write_text("[ir_shared.claims]\nbroken = demo_claims.absent:CLAIMS\n")
    assert reproduce("run", "broken/claim").returncode == 1
    done = reproduce("run", "demo/seeded", "broken")
    assert done.returncode == 1
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert [(entry["package"], entry["verdict"]) for entry in report] == [("demo", "reproduced"), ("broken", "error")]
    assert "demo_claims.absent" in report[1]["note"]


@pytest.mark.skipif(find_spec("torch") is None, reason="needs torch: uv sync --all-extras")
def test_the_first_seed_reaches_a_library_that_the_claim_itself_loads(reproduce, tmp_path):
    drawn = []
    for _ in range(2):
        reproduce("run", "demo/draw", "--force")
        drawn.append(_report(tmp_path)["draw"]["values"])
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) == 3

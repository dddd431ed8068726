from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ir_shared.trec import read_qrels, read_run, write_qrels, write_run
from rerank_judge.toy import ToyCollection, toy_text

Cli = Callable[..., Any]
COMMANDS = ["score", "label", "calibrate", "transfer", "agree", "leaderboard", "correlate"]


@pytest.fixture
def toy(toy_folder: Path) -> dict[str, Path]:
    return {"qrels": toy_folder / "qrels.txt", "runs": toy_folder / "runs", "scores": toy_folder / "judges/toy.scores"}


def figures(outcome: Any) -> Any:
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def test_from_pairs_to_labels_to_agreement(cli: Cli, tmp_path: Path) -> None:
    text = toy_text(5)
    write_qrels(tmp_path / "qrels", text.qrels)
    with (tmp_path / "pairs.jsonl").open("w") as file:
        for qid, docs in text.qrels.items():
            for docid in docs:
                record = {"query_id": qid, "query": text.topics[qid], "docid": docid, "text": text.documents[docid]}
                file.write(json.dumps(record) + "\n")
    scores, calibration, labels = (tmp_path / name for name in ("lexical.scores", "cal.json", "lexical.qrels"))
    scored = figures(cli("score", "--judge", "lexical", "--pairs", tmp_path / "pairs.jsonl", "-o", scores, "--json"))
    assert scored["judge"] == {"judge": "lexical", "scale": "logit", "status": {"ok": 480}}
    calibrated = figures(
        cli("calibrate", "--scores", scores, "--qrels", tmp_path / "qrels", "-o", calibration, "--json")
    )
    labelled = figures(cli("label", "--scores", scores, "--calibration", calibration, "-o", labels, "--json"))
    assert labelled["threshold"] == calibrated["selection"]["threshold"]
    assert labelled["in_sample"] is True
    agreed = figures(cli("agree", "--human", tmp_path / "qrels", "--judge", labels, "--json"))
    assert agreed["results"][0]["kappa"] == calibrated["selection"]["value"] > 0.8


def test_label_at_a_threshold_and_by_decision(cli: Cli, toy: dict[str, Path], tmp_path: Path) -> None:
    run = read_run(toy["scores"])
    out = tmp_path / "labels"
    assert cli("label", "--scores", toy["scores"], "--threshold", 1.3, "-o", out).code == 0
    assert read_qrels(out) == {q: {d: int(s >= 1.3) for d, s in docs.items()} for q, docs in run.items()}
    assert cli("label", "--scores", toy["scores"], "--direct", "--scale", "log-odds", "-o", out).code == 0
    assert sum(grade for docs in read_qrels(out).values() for grade in docs.values()) == 249 + 219


def test_label_wants_exactly_one_rule_and_scores_with_a_decision(
    cli: Cli, toy: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "labels"
    for rule in ((), ("--direct", "--threshold", 1)):
        outcome = cli("label", "--scores", toy["scores"], *rule, "-o", out)
        assert (outcome.code, "exactly one of" in outcome.err) == (2, True)
    outcome = cli("label", "--scores", toy["scores"], "--direct", "-o", out)
    assert (outcome.code, "--scale log-odds" in outcome.err) == (2, True)
    assert not out.exists()


def test_calibration_on_another_scale_is_refused(cli: Cli, toy: dict[str, Path], tmp_path: Path) -> None:
    calibration, probabilities = tmp_path / "cal.json", tmp_path / "p.scores"
    assert cli("calibrate", "--scores", toy["scores"], "--qrels", toy["qrels"], "-o", calibration).code == 0
    write_run(probabilities, {"t00": {"d00000": 0.5}}, "p")
    outcome = cli("label", "--scores", probabilities, "--calibration", calibration, "-o", tmp_path / "x")
    assert outcome.code == 2
    assert "made on logit scores, these are probability" in outcome.err


def test_calibrate_for_an_ordering(cli: Cli, toy: dict[str, Path], tmp_path: Path) -> None:
    arguments = ["calibrate", "--scores", toy["scores"], "--qrels", toy["qrels"], "--target", "tau:nDCG@10"]
    outcome = cli(*arguments, "-o", tmp_path / "cal.json")
    assert (outcome.code, "give their folder with --runs" in outcome.err) == (2, True)
    arguments += ["--runs", toy["runs"], "--grid", "step:0.1", "-o", tmp_path / "cal.json"]
    result = figures(cli(*arguments, "--json"))
    assert (result["selection"]["threshold"], result["selection"]["plateau"]) == (0.7, [0.7, 0.8])
    assert set(result["provenance"]["inputs"]) == {"scores", "qrels", "runs"}
    assert cli(*arguments).out.splitlines()[1].split() == [
        "toy",
        "tau:nDCG@10",
        "0.7",
        "0.970",
        "0.7",
        "to",
        "0.8",
        "4",
        "163",
    ]


def test_calibrate_exits_2_where_nothing_can_be_selected(cli: Cli, tmp_path: Path) -> None:
    write_qrels(tmp_path / "qrels", {"q": {"a": 2, "b": 3}})
    write_run(tmp_path / "j.scores", {"q": {"a": 0.5, "b": 0.5}}, "j")
    outcome = cli("calibrate", "--scores", tmp_path / "j.scores", "--qrels", tmp_path / "qrels", "-o", tmp_path / "c")
    assert (outcome.code, "all labels are of one class" in outcome.err) == (2, True)
    assert not (tmp_path / "c").exists()


def test_agree_prints_the_figures_of_the_toy(cli: Cli, toy: dict[str, Path]) -> None:
    arguments = ["agree", "--human", toy["qrels"], "--judge", toy["scores"], "--scale", "log-odds", "--per-topic"]
    outcome = cli(*arguments, "--bootstrap", 200)
    assert outcome.out.splitlines()[1].startswith("toy    0.476  0.")
    assert "1200 of 1200 human pairs (0 missing, 0 extra)" in outcome.out
    assert len(outcome.out.splitlines()) == 2 + 1 + 2 + 20
    again = cli(*arguments, "--bootstrap", 200)
    assert again == outcome


def test_agree_on_constant_labels_says_why_there_is_no_kappa(cli: Cli, tmp_path: Path) -> None:
    write_qrels(tmp_path / "h", {"q": {"a": 2}})
    write_qrels(tmp_path / "j", {"q": {"a": 1}})
    outcome = cli("agree", "--human", tmp_path / "h", "--judge", tmp_path / "j")
    assert (outcome.code, "kappa is undefined" in outcome.err) == (0, True)
    assert (
        figures(cli("agree", "--human", tmp_path / "h", "--judge", tmp_path / "j", "--json"))["results"][0]["kappa"]
        is None
    )


def test_binary_labels_under_a_graded_rule_are_warned_of(cli: Cli, tmp_path: Path) -> None:
    write_qrels(tmp_path / "h", {"q": {"a": 2, "b": 0}})
    write_qrels(tmp_path / "j", {"q": {"a": 1, "b": 0}})
    arguments = ["agree", "--human", tmp_path / "h", "--judge", tmp_path / "j"]
    assert "no positives after binarisation" in cli(*arguments, "--binarize-judge", 2).err
    assert cli(*arguments).out.splitlines()[1].split()[1] == "1.000"
    assert cli(*arguments, "--binarize-judge", "high").code == 2


def test_leaderboard_prints_best_first_and_writes_topics(cli: Cli, toy: dict[str, Path], tmp_path: Path) -> None:
    outcome = cli("leaderboard", "--runs", toy["runs"], "--qrels", toy["qrels"], "-o", tmp_path / "board.json")
    lines = outcome.out.splitlines()
    assert lines[0].split() == ["system", "AP@100", "RR@10", "nDCG@10"]
    assert lines[1].split() == ["sys11", "0.733", "0.975", "0.803"]
    board = json.loads((tmp_path / "board.json").read_text())["board"]
    assert board["mean"]["sys00"]["AP@100"] == pytest.approx(0.323506, abs=5e-7)
    assert len(board["per_topic"]["sys00"]) == 20


def test_commands_read_as_deep_as_the_metric_looks(cli: Cli, toy: dict[str, Path], tmp_path: Path) -> None:
    arguments = ["leaderboard", "--runs", toy["runs"], "--qrels", toy["qrels"], "--metric"]
    assert cli(*arguments, "AP@1000").code == 0
    assert cli(*arguments, "RR@5", "--rr-truncation", "file-order").code == 0
    folder = toy["qrels"].parent
    deep = ["--target", "tau:AP@500", "--rr-truncation", "file-order", "--target", "tau:RR@3"]
    assert cli("transfer", "--source", f"a={folder}", "--to", f"b={folder}", "--grid", "paper", *deep).code == 0
    calibrate = ["calibrate", "--scores", toy["scores"], "--qrels", toy["qrels"], "--runs", toy["runs"]]
    assert cli(*calibrate, "--target", "tau:AP@500", "-o", tmp_path / "cal.json").code == 0
    assert (cli(*arguments, "P@5").code, cli(*arguments, "AP").code) == (2, 2)


def test_correlate_prints_the_figures_of_the_toy(cli: Cli, toy: dict[str, Path]) -> None:
    arguments = ["correlate", "--runs", toy["runs"], "--human", toy["qrels"], "--judge", toy["scores"], "--at", "toy=0"]
    outcome = cli(*arguments)
    assert outcome.out.splitlines()[0] == "12 systems"
    assert outcome.err == "qrels.txt: 1 judge(s) have exactly the 1200 human pairs\n"
    assert outcome.out.splitlines()[2].split()[:4] == ["toy", "AP@100", "0.879", "0.958"]
    rows = figures(cli(*arguments, "--bootstrap", 100, "--json"))["results"]
    assert rows[1]["correlation"]["tau"] == pytest.approx(0.492366, abs=5e-7)
    assert rows[1]["correlation"]["interval"]["n_boot"] == 100


def test_correlate_compares_judges_and_shows_what_extra_pairs_change(
    cli: Cli, toy: dict[str, Path], toy11: ToyCollection, tmp_path: Path
) -> None:
    """A judge that labels what nobody pooled changes the ordering only where --all-pairs says so."""
    pooled = {qid: dict(list(docs.items())[:20]) for qid, docs in toy11.qrels.items()}
    write_qrels(tmp_path / "pooled.qrels", pooled)
    write_qrels(tmp_path / "wide.qrels", toy11.qrels)
    write_qrels(tmp_path / "narrow.qrels", pooled)
    arguments = ["correlate", "--runs", toy["runs"], "--human", tmp_path / "pooled.qrels"]
    arguments += ["--judge", tmp_path / "wide.qrels", "--judge", tmp_path / "narrow.qrels", "--metric", "AP@100"]
    wide, narrow = figures(cli(*arguments, "--json"))["results"]
    assert wide["correlation"]["tau"] == narrow["correlation"]["tau"] == pytest.approx(1)
    assert wide["tau_all_pairs"] is None
    wide, narrow = figures(cli(*arguments, "--json", "--all-pairs", "--bootstrap", 50, "--against", "narrow"))[
        "results"
    ]
    assert wide["correlation"]["tau"] == pytest.approx(1)
    assert wide["tau_all_pairs"] < 0.99
    assert narrow["tau_all_pairs"] is None
    assert (wide["difference"]["low"], wide["difference"]["high"], narrow["difference"]) == (0, 0, None)
    assert "all pairs" in cli(*arguments, "--all-pairs").out
    assert cli(*arguments, "--against", "narrow").code == 2


def test_a_judge_that_is_a_system_is_warned_of(cli: Cli, toy: dict[str, Path], tmp_path: Path) -> None:
    write_qrels(tmp_path / "sys03.qrels", read_qrels(toy["qrels"]))
    outcome = cli("correlate", "--runs", toy["runs"], "--human", toy["qrels"], "--judge", tmp_path / "sys03.qrels")
    assert (outcome.code, "self-judging: sys03" in outcome.err) == (0, True)


def test_a_repeated_document_is_an_error_or_keeps_its_best_score(
    cli: Cli, toy: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "s").write_text("t00 Q0 d00000 1 2 s\nt00 Q0 x 2 1 s\nt00 Q0 d00000 3 0 s\n")
    arguments = ["leaderboard", "--runs", tmp_path / "runs", "--qrels", toy["qrels"], "--metric", "judged@1"]
    assert cli(*arguments).code == 2
    outcome = cli(*arguments, "--on-duplicate", "keep-best")
    assert outcome.out.splitlines()[1].split() == ["s", "0.050"]


def test_binary_labels_on_a_graded_leaderboard_are_warned_of(cli: Cli, toy: dict[str, Path], tmp_path: Path) -> None:
    write_qrels(tmp_path / "binary", {"t00": {"d00000": 1}})
    arguments = ["leaderboard", "--runs", toy["runs"], "--qrels", tmp_path / "binary"]
    assert "no grade is >= 2, so nothing is relevant" in cli(*arguments).err
    assert "nothing is relevant" not in cli(*arguments, "--binarize", 1).err


def test_fewer_than_three_systems_have_no_ordering(cli: Cli, toy: dict[str, Path], tmp_path: Path) -> None:
    run = read_run(toy["runs"] / "sys00.txt")
    for name in ("a", "b"):
        write_run(tmp_path / "runs" / name, run, name)
    outcome = cli("correlate", "--runs", tmp_path / "runs", "--human", toy["qrels"], "--judge", toy["qrels"])
    assert (outcome.code, "at least 3 runs, found 2 (a, b)" in outcome.err) == (2, True)


def test_unknown_judges_and_numbers_of_at_are_refused(cli: Cli, toy: dict[str, Path]) -> None:
    for at, message in (("toy", "expected JUDGE=THRESHOLD"), ("t=1", "the judges are toy"), ("toy=x", "not a number")):
        outcome = cli("agree", "--human", toy["qrels"], "--judge", toy["scores"], "--at", at)
        assert (outcome.code, message in outcome.err) == (2, True)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("t00 Q0 x 1 0.5", "expected 6 columns"),
        ("qid Q0 docid rank score tag", "score must be a finite number"),
        ("t00 Q0 x 1 nan s", "score must be a finite number"),
        ("t00 Q0 x 1 inf s", "score must be a finite number"),
        ("t00 Q0 d00000 1 0.5 s", "retrieved before"),
    ],
)
def test_a_broken_line_is_named_with_file_line_and_text(
    cli: Cli, toy: dict[str, Path], tmp_path: Path, line: str, message: str
) -> None:
    lines = ["t00 Q0 d00000 1 0.5 s", line if not line.startswith("qid") else "t00 Q0 y 2 score s"]
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "bad").write_text("\n".join(lines) + "\n")
    outcome = cli("leaderboard", "--runs", tmp_path / "runs", "--qrels", toy["qrels"])
    assert outcome.code == 2
    assert "bad:2:" in outcome.err
    assert message in outcome.err
    assert "Traceback" not in outcome.err


def test_a_wrong_file_overwrites_nothing(cli: Cli, toy: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "labels"
    out.write_text("old")
    (tmp_path / "broken.scores").write_text("t00 Q0 a 1 0.5 s\nt00 Q0 b 2 x s\n")
    assert cli("label", "--scores", tmp_path / "broken.scores", "--threshold", 0.1, "-o", out).code == 2
    assert out.read_text() == "old"


def test_two_judges_of_one_name_are_an_error(cli: Cli, toy: dict[str, Path], tmp_path: Path) -> None:
    write_qrels(tmp_path / "toy.qrels", read_qrels(toy["qrels"]))
    outcome = cli("agree", "--human", toy["qrels"], "--judge", toy["scores"], "--judge", tmp_path / "toy.qrels")
    assert (outcome.code, "judge toy is also in" in outcome.err) == (2, True)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_answers_help(cli: Cli, command: str) -> None:
    outcome = cli(command, "--help")
    assert outcome.code == 0
    assert command in outcome.out


def test_the_program_exits_2_on_a_missing_file_and_imports_nothing_heavy(tmp_path: Path) -> None:
    code = "import sys; from rerank_judge.cli import main; assert 'scipy' not in sys.modules; main()"
    arguments = ["agree", "--human", str(tmp_path / "absent"), "--judge", str(tmp_path / "absent")]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {tmp_path / 'absent'}: no such file\n"

"""What a user gets wrong ends in one line and exit code 2, not in a traceback or a figure that means something else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ir_shared.trec import write_qrels, write_run
from rerank_judge.toy import ToyCollection

Cli = Callable[..., Any]


@pytest.fixture
def toy(toy_folder: Path) -> dict[str, Path]:
    return {"qrels": toy_folder / "qrels.txt", "runs": toy_folder / "runs", "scores": toy_folder / "judges/toy.scores"}


def refusal(outcome: Any) -> str:
    assert outcome.code == 2, outcome.err
    assert outcome.out == ""
    assert "Traceback" not in outcome.err
    return str(outcome.err)


def test_a_cut_off_beyond_any_list_is_refused(cli: Cli, toy: dict[str, Path]) -> None:
    arguments = ["leaderboard", "--runs", toy["runs"], "--qrels", toy["qrels"], "--metric"]
    assert "k < 100000" in refusal(cli(*arguments, "nDCG@99999999999"))
    assert cli(*arguments, "AP@99999").code == 0


def test_a_metric_asked_for_twice_is_shown_once(cli: Cli, toy: dict[str, Path]) -> None:
    arguments = ["leaderboard", "--runs", toy["runs"], "--qrels", toy["qrels"], "--metric", "AP@5", "--metric", "map@5"]
    assert cli(*arguments).out.splitlines()[0].split() == ["system", "AP@5"]


def test_two_rr_cut_offs_in_file_order_say_what_to_do(cli: Cli, toy: dict[str, Path]) -> None:
    arguments = ["leaderboard", "--runs", toy["runs"], "--qrels", toy["qrels"], "--rr-truncation", "file-order"]
    assert "one RR cut-off at a time" in refusal(cli(*arguments, "--metric", "RR@5", "--metric", "RR@10"))


def test_a_header_and_an_empty_file_are_no_runs(cli: Cli, toy: dict[str, Path], tmp_path: Path) -> None:
    arguments = ["leaderboard", "--runs", tmp_path / "runs", "--qrels", toy["qrels"]]
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "s").write_text("qid Q0 docid rank score tag\nt00 Q0 d00000 1 0.5 s\n")
    assert "s:1: the score must be a finite number, found 'score'" in refusal(cli(*arguments))
    (tmp_path / "runs" / "s").write_text("")
    assert "holds no run" in refusal(cli(*arguments))
    (tmp_path / "runs" / "s").write_text("other Q0 d 1 0.5 s\n")
    missing = cli(*arguments)
    assert (missing.code, "s: 20" in missing.err) == (0, True)


def test_a_threshold_given_twice_for_a_judge_is_refused(cli: Cli, toy: dict[str, Path]) -> None:
    arguments = ["agree", "--human", toy["qrels"], "--judge", toy["scores"], "--at", "toy=0", "--at", "toy=1"]
    assert "toy has another threshold already" in refusal(cli(*arguments))


def test_scores_that_are_no_probabilities_are_not_taken_for_them(cli: Cli, toy: dict[str, Path]) -> None:
    arguments = ["agree", "--human", toy["qrels"], "--judge", toy["scores"], "--scale", "probability"]
    assert "are no probabilities" in refusal(cli(*arguments))


def test_orderings_without_a_difference_have_no_tau_and_it_is_said_why(cli: Cli, toy: dict[str, Path]) -> None:
    arguments = ["correlate", "--runs", toy["runs"], "--human", toy["qrels"], "--judge", toy["scores"]]
    outcome = cli(*arguments, "--at", "toy=100", "--metric", "AP@100")
    assert outcome.code == 0
    assert "tau is undefined where humans or judge give all systems one value: toy AP@100" in outcome.err


@pytest.mark.parametrize(
    ("field", "value"), [("threshold", None), ("threshold", "high"), ("scale", "percent"), ("plateau", 3)]
)
def test_a_calibration_that_was_edited_wrongly_is_damaged(
    cli: Cli, toy: dict[str, Path], tmp_path: Path, field: str, value: object
) -> None:
    file = tmp_path / "cal.json"
    assert cli("calibrate", "--scores", toy["scores"], "--qrels", toy["qrels"], "-o", file).code == 0
    document = json.loads(file.read_text())
    document["selection"][field] = value
    file.write_text(json.dumps(document))
    arguments = ["label", "--scores", toy["scores"], "--calibration", file, "-o", tmp_path / "labels"]
    assert "the calibration is damaged" in refusal(cli(*arguments))


def test_log_odds_calibrations_label_log_odds_without_saying_so_again(
    cli: Cli, toy: dict[str, Path], toy_folder12: Path, tmp_path: Path
) -> None:
    """Scores outside [0, 1] can be log-odds; scores within are taken for probabilities and refused until it is said."""
    calibrate = ["calibrate", "--scores", toy["scores"], "--qrels", toy["qrels"], "-o", tmp_path / "cal.json"]
    label = ["label", "--calibration", tmp_path / "cal.json", "-o", tmp_path / "labels", "--scores"]
    others = toy_folder12 / "judges/toy.scores"
    for calibrated, said in (("log-odds", "auto"), ("auto", "log-odds"), ("log-odds", "log-odds"), ("logit", "auto")):
        assert cli(*calibrate, "--scale", calibrated).code == 0
        outcome = cli(*label, others, "--scale", said)
        assert (outcome.code, "relevant at score >= 1.4615" in outcome.err) == (0, True), outcome.err
    write_run(tmp_path / "within.scores", {"t00": {"a": 0.1, "b": 0.9}}, "w")
    assert "made on logit scores, these are probability" in refusal(cli(*label, tmp_path / "within.scores"))


def test_a_direct_decision_at_one_half_draws_no_warning_of_another_scale(cli: Cli, tmp_path: Path) -> None:
    """A threshold of 0.5 that was found on log-odds is no mistake."""
    write_qrels(tmp_path / "q", {"q": {"a": 2, "b": 0}})
    write_run(tmp_path / "s.scores", {"q": {"a": 2.0, "b": -1.0}}, "s")
    scores = ["--scores", tmp_path / "s.scores", "--scale", "log-odds"]
    assert cli("calibrate", *scores, "--qrels", tmp_path / "q", "-o", tmp_path / "c").code == 0
    outcome = cli("label", *scores[:2], "--calibration", tmp_path / "c", "-o", tmp_path / "l")
    assert "warning" not in outcome.err
    assert "score >= 0.5" in outcome.err


def test_a_result_for_dev_null_leaves_the_device_alone(cli: Cli, toy: dict[str, Path]) -> None:
    outcome = cli("leaderboard", "--runs", toy["runs"], "--qrels", toy["qrels"], "--out", "/dev/null")
    assert outcome.code == 0
    assert Path("/dev/null").is_char_device()


def test_two_collections_of_one_name_are_refused(cli: Cli, toy_folder: Path, toy_folder12: Path) -> None:
    arguments = ["transfer", "--source", f"a={toy_folder}", "--to", f"a={toy_folder12}"]
    assert "two collections of one name" in refusal(cli(*arguments))


def test_scores_on_two_scales_carry_no_threshold(
    cli: Cli, toy_folder: Path, toy12: ToyCollection, tmp_path: Path
) -> None:
    folder = toy12.write(tmp_path / "other")
    squeezed = {qid: {d: (s + 20) / 40 for d, s in docs.items()} for qid, docs in toy12.scores.items()}
    write_run(folder / "judges" / "toy.scores", squeezed, "toy")
    arguments = ["transfer", "--source", f"a={toy_folder}", "--to", f"b={folder}", "--target", "kappa"]
    assert "look like logit in a and probability in b" in cli(*arguments).err
    assert cli(*arguments, "--scale", "toy=logit").code == 0

"""What a user gets wrong ends in one line and exit code 2, not in a traceback or a figure that means something else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ir_shared.trec import read_qrels, write_qrels, write_run
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


CARD = {"judge_id": "j", "scale": "logit", "fingerprint": "x"}


def store(path: Path, card: dict[str, object], *rows: list[object]) -> Path:
    lines = [{"format": "rerank-judge scores 1", "card": card}, *rows]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


@pytest.mark.parametrize("change", [{"judge_id": None}, {"scale": "percent"}, {"scale": None}])
def test_a_store_with_a_damaged_card_is_refused(cli: Cli, tmp_path: Path, change: dict[str, object]) -> None:
    scores = store(tmp_path / "s", CARD | change, ["q", "d", 1.0, "ok", 1])
    found = refusal(cli("label", "--scores", scores, "--threshold", 0, "-o", tmp_path / "labels"))
    assert "s:1: is no score store" in found


def test_pairs_without_an_answer_get_no_label_and_it_is_said(cli: Cli, tmp_path: Path) -> None:
    rows = [["q", "a", 1.0, "ok", 1], ["q", "b", None, "invalid", 1], ["q", "c", None, "failed", 1]]
    scores, out = store(tmp_path / "s", CARD, *rows), tmp_path / "labels"
    done = cli("label", "--scores", scores, "--threshold", 0.9, "-o", out)
    assert "s: 2 pairs have no score and so no label (1 failed, 1 invalid)" in done.err
    assert read_qrels(out) == {"q": {"a": 1}}
    nothing = cli("label", "--scores", store(tmp_path / "s", CARD, *rows[1:]), "--threshold", 1, "-o", out)
    assert "s: holds no scores (1 failed, 1 invalid); go on with score --resume --retry" in refusal(nothing)


def test_empty_files_and_folders_are_no_judges(cli: Cli, toy: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    arguments = ["agree", "--human", toy["qrels"], "--judge"]
    assert "empty: is empty; give scores" in refusal(cli(*arguments, tmp_path / "empty"))
    assert "is a folder; give a file" in refusal(cli(*arguments, tmp_path))


def test_a_threshold_at_the_lowest_score_is_not_called_outside(cli: Cli, toy: dict[str, Path], tmp_path: Path) -> None:
    done = cli("label", "--scores", toy["scores"], "--threshold", -8.925, "-o", tmp_path / "labels")
    assert "at threshold -8.925 all labels are equal, because the scores go from -8.925 to 7.126" in done.err


def test_the_advice_on_binary_labels_is_not_given_where_it_was_followed(
    cli: Cli, toy: dict[str, Path], tmp_path: Path
) -> None:
    nothing = {qid: dict.fromkeys(docs, 0) for qid, docs in read_qrels(toy["qrels"]).items()}
    write_qrels(tmp_path / "j.qrels", nothing)
    done = cli("agree", "--human", toy["qrels"], "--judge", tmp_path / "j.qrels")
    assert "j: no positives after binarisation: the highest grade is 0, and relevant means >= 1\n" in done.err


def test_a_calibration_no_better_than_chance_says_so(cli: Cli, toy: dict[str, Path], tmp_path: Path) -> None:
    constant = {qid: dict.fromkeys(docs, 3.0) for qid, docs in read_qrels(toy["qrels"]).items()}
    write_run(tmp_path / "j.run", constant, "j")
    arguments = ["--qrels", toy["qrels"], "-o", tmp_path / "c.json"]
    done = cli("calibrate", "--scores", tmp_path / "j.run", *arguments)
    assert "j: no threshold attains a kappa above 0; do not use this calibration" in done.err
    assert "do not use" not in cli("calibrate", "--scores", toy["scores"], *arguments).err


def test_thresholds_given_several_times_make_grades(cli: Cli, tmp_path: Path) -> None:
    rows = [["q", d, float(grade), "ok", 1] for d, grade in zip("abcd", (0, 1, 2, 3), strict=True)]
    scores, out = store(tmp_path / "s", CARD, *rows), tmp_path / "labels"
    cuts = [part for cut in (1, 2, 3, 4) for part in ("--threshold", cut)]
    done = cli("label", "--scores", scores, *cuts, "-o", out)
    assert "4 pairs, 1 of grade 0, 1 of grade 1, 1 of grade 2, 1 of grade 3, 0 of grade 4" in done.err
    assert read_qrels(out) == {"q": {"a": 0, "b": 1, "c": 2, "d": 3}}
    found = json.loads(cli("label", "--scores", scores, *cuts, "-o", out, "--json").out)
    assert (found["grades"], found["threshold"]) == ([1, 1, 1, 1, 0], [1, 2, 3, 4])
    falling = cli("label", "--scores", scores, "--threshold", 2, "--threshold", 1, "-o", out)
    assert "j: thresholds that make grades must ascend, found 2, 1" in refusal(falling)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("families = ['a']", "f.toml:1: families: expected a table, [families]"),
        ("own = 'a'", "f.toml:1: own: expected a table, [own]"),
    ],
)
def test_families_that_are_no_table_are_named(
    cli: Cli, toy: dict[str, Path], tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "f.toml").write_text(text)
    arguments = ["--runs", toy["runs"], "--human", toy["qrels"], "--judge", toy["qrels"]]
    assert message in refusal(cli("bias", *arguments, "--families", tmp_path / "f.toml"))


def test_bias_has_no_metric_of_the_judged_share(cli: Cli, toy: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "f.toml").write_text("[families]\nA = ['sys00', 'sys01']\n")
    arguments = ["bias", "--runs", toy["runs"], "--human", toy["qrels"], "--judge", toy["qrels"]]
    arguments += ["--families", tmp_path / "f.toml", "--bootstrap", 0]
    refused = cli(*arguments, "--metric", "judged@10")
    assert refused.code == 2
    assert "use AP@k, RR@k or nDCG@k for bias" in refused.err
    assert "qrels.txt: 1 judge(s) have exactly the 1200 human pairs" in cli(*arguments).err


def test_an_existing_store_is_refused_before_the_judge_is_loaded(cli: Cli, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text('{"query_id": "q", "query": "x", "docid": "d", "text": "t"}\n')
    scores = store(tmp_path / "s", CARD)
    found = refusal(cli("score", "--judge", "monot5:no/such/folder", "--pairs", pairs, "-o", scores))
    assert "s: exists; resume it" in found

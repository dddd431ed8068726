from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]


def figures(outcome: Any) -> Any:
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def test_transfer_of_folders_both_ways(cli: Cli, toy_folder: Path, toy_folder12: Path) -> None:
    arguments = ["transfer", "--source", f"one={toy_folder}", "--to", f"two={toy_folder12}", "--both"]
    tables = figures(cli(*arguments, "--json"))["tables"]
    assert [(t["source"], t["to"], t["target"]) for t in tables[:2]] == [
        ("one", "two", "kappa"),
        ("one", "two", "tau:AP@100"),
    ]
    assert len(tables) == 8
    paper, exact = tables[0]["rows"][0]["transferred"]
    assert (paper["threshold"], paper["value"]) == (1.3, pytest.approx(0.545669, abs=5e-7))
    assert exact["threshold"] == pytest.approx(1.4615)
    outcome = cli(*arguments, "--target", "kappa", "--at", "toy=1.463")
    lines = outcome.out.splitlines()
    assert lines[0] == "one -> two: kappa"
    assert lines[2].split() == ["toy", "-", "1.3", "0.546", "1.4615", "0.548", "1.463", "0.548"]
    assert outcome.out == cli(*arguments, "--target", "kappa", "--at", "toy=1.463", "--quiet").out


def test_transfer_onto_itself_is_marked_in_sample(cli: Cli, toy_folder: Path) -> None:
    outcome = cli("transfer", "--source", f"a={toy_folder}", "--to", f"b={toy_folder}", "--target", "kappa")
    assert "in-sample" in outcome.out.splitlines()[0]


def test_transfer_of_single_files_matches_the_judge_whatever_its_name(
    cli: Cli, toy_folder: Path, toy_folder12: Path, tmp_path: Path
) -> None:
    other = tmp_path / "another.scores"
    other.write_bytes((toy_folder12 / "judges/toy.scores").read_bytes())
    source = f"a={toy_folder / 'judges/toy.scores'},{toy_folder / 'qrels.txt'}"
    outcome = cli("transfer", "--source", source, "--to", f"b={other},{toy_folder12 / 'qrels.txt'}", "--grid", "paper")
    assert outcome.out.splitlines()[2].split() == ["toy", "-", "1.3", "0.546"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("folder", "expected NAME=FOLDER"),
        ("x=", "expected NAME=FOLDER"),
        ("x=absent", "no such folder"),
        ("x=a,b,c,d", "expected NAME=FOLDER"),
    ],
)
def test_transfer_explains_how_a_collection_is_given(cli: Cli, toy_folder: Path, spec: str, message: str) -> None:
    outcome = cli("transfer", "--source", spec, "--to", f"b={toy_folder}")
    assert (outcome.code, message in outcome.err) == (2, True)


def test_the_scale_of_all_judges_or_of_one_can_be_said(cli: Cli, toy_folder: Path, toy_folder12: Path) -> None:
    arguments = ["transfer", "--source", f"a={toy_folder}", "--to", f"b={toy_folder12}", "--target", "kappa"]
    arguments += ["--grid", "step:0.1"]
    for said in (["log-odds"], ["toy=log-odds"], ["toy=log-odds", "logit"]):
        outcome = cli(*arguments, *(part for scale in said for part in ("--scale", scale)))
        assert outcome.out.splitlines()[2].split() == ["toy", "0.514", "1.3", "0.546"]
    both = cli(*arguments, "--both", "--scale", "log-odds").out.splitlines()
    assert [line.split()[1] for line in both if line.startswith("toy")] == ["0.514", "0.476"]
    for wrong, message in (
        ("other=logit", "no judge other"),
        ("toy=high", "expected one of"),
        ("high", "expected one"),
    ):
        outcome = cli(*arguments, "--scale", wrong)
        assert (outcome.code, message in outcome.err) == (2, True)


def test_the_scale_of_single_files_goes_by_the_source_s_name(
    cli: Cli, toy_folder: Path, toy_folder12: Path, tmp_path: Path
) -> None:
    other = tmp_path / "another.scores"
    other.write_bytes((toy_folder12 / "judges/toy.scores").read_bytes())
    source = f"a={toy_folder / 'judges/toy.scores'},{toy_folder / 'qrels.txt'}"
    to = f"b={other},{toy_folder12 / 'qrels.txt'}"
    outcome = cli("transfer", "--source", source, "--to", to, "--grid", "paper", "--scale", "toy=log-odds")
    assert outcome.out.splitlines()[2].split() == ["toy", "0.514", "1.3", "0.546"]


def test_targets_and_grids_asked_for_twice_are_shown_once(cli: Cli, toy_folder: Path, toy_folder12: Path) -> None:
    arguments = ["transfer", "--source", f"a={toy_folder}", "--to", f"b={toy_folder12}"]
    once = cli(*arguments, "--target", "kappa", "--grid", "exact")
    assert cli(*arguments, *["--target", "kappa", "--grid", "exact"] * 2) == once


def test_a_reference_without_these_collections_says_which_it_has(
    cli: Cli, toy_folder: Path, toy_folder12: Path
) -> None:
    arguments = ["transfer", "--source", f"a={toy_folder}", "--to", f"b={toy_folder12}", "--target", "kappa"]
    outcome = cli(*arguments, "--reference", "published")
    assert "has figures of dl22, dl23 only" in outcome.err

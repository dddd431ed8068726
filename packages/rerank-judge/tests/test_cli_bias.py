"""The command bias."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ir_shared.trec import write_qrels, write_run
from rerank_judge.toy import toy_collection

FAMILIES = """\
[families]
A = ["toy", "sys11", "sys10"]
B = ["strict", "sys00", "sys01"]

[own]
toy = "sys11"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy collection whose runs retrieve three documents that nobody judged, and labels and scores for these."""
    place = tmp_path_factory.mktemp("bias")
    toy = toy_collection(11)
    toy.write(place)
    rng = np.random.default_rng(0)
    for system, run in toy.runs.items():
        holed = {qid: docs | {f"hole{i}": float(rng.normal()) for i in range(3)} for qid, docs in run.items()}
        write_run(place / "runs" / f"{system}.txt", holed, system)
    holes = {qid: {f"hole{i}": float(i - 1) for i in range(3)} for qid in toy.qrels}
    write_run(place / "fill" / "toy.scores", holes, "toy")
    strict = {qid: {docid: int(grade >= 3) for docid, grade in docs.items()} for qid, docs in toy.qrels.items()}
    write_qrels(place / "judges" / "strict.qrels", strict)
    (place / "families.toml").write_text(FAMILIES)
    return place


def arguments(folder: Path) -> list[object]:
    return [
        *("bias", "--runs", folder / "runs", "--human", folder / "qrels.txt", "--scale", "log-odds"),
        *("--judge", folder / "judges" / "toy.scores", "--judge", f"exact={folder / 'judges' / 'strict.qrels'}"),
        *("--families", folder / "families.toml", "--bootstrap", 50),
    ]


def test_tables_and_warnings(folder: Path, cli: Callable) -> None:
    outcome = cli(*arguments(folder), "--condensed", "--fill-holes", folder / "fill" / "toy.scores")
    assert outcome.code == 0, outcome.err
    for holes in ("raw", "condensed", "filled"):
        assert f"Bias: 12 systems, AP@100, holes {holes}" in outcome.out
    assert "judged@10" in outcome.out
    assert "warning: self-judging: toy judge their own systems; add judges of other families" in outcome.err
    assert "neither judge nor system is called strict" in outcome.err


def test_a_judge_of_another_family_lets_the_panel_judge(folder: Path, cli: Callable) -> None:
    given = [str(a).replace("exact=", "strict=") for a in arguments(folder)]
    outcome = cli(*given, "--json")
    assert outcome.code == 0, outcome.err
    assert "a panel that leaves out each system's family orders the systems with tau" in outcome.err
    document = json.loads(outcome.out)
    report = document["reports"][0]
    toy = report["judges"][0]
    assert (toy["own"], toy["family"], report["self_judging"]) == ("sys11", "A", ["toy"])
    assert toy["own_preference"]["judged"][0] < 1
    assert sum(c["value"] for c in toy["centred"].values()) == pytest.approx(0, abs=1e-12)
    assert -1 <= document["panel_tau"] <= 1
    assert set(document["provenance"]["inputs"]) == {"human", "runs", "families", "toy.scores", "strict"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--fill-holes", "other=judges/toy.scores"], "no judge is called other; the judges are toy, exact"),
        (["--judge", "judges/toy.scores"], "judge toy is given twice"),
        (["--fill-holes", "exact=judges/toy.scores"], "give scores where --judge has scores"),
        (["--metric", "AP"], "unknown metric 'AP'"),
    ],
)
def test_bad_input_is_refused(
    folder: Path, cli: Callable, monkeypatch: pytest.MonkeyPatch, change: list[str], message: str
) -> None:
    monkeypatch.chdir(folder)
    outcome = cli(*arguments(folder), *change)
    assert outcome.code == 2
    assert message in outcome.err

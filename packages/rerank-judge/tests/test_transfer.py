from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ir_shared.console import UserError
from ir_shared.trec import write_qrels
from rerank_judge.agreement import agree
from rerank_judge.collection import Collection
from rerank_judge.judged import JudgedCollection, align_judge
from rerank_judge.labeling import LabelSet, ScoreSet, threshold
from rerank_judge.reference import Figures, Published, read_reference
from rerank_judge.scorers import JudgeFile
from rerank_judge.toy import ToyCollection
from rerank_judge.transfer import direct_value, transfer, value_at
from rerank_judge.transfer_table import TransferTable, transfer_table


@pytest.fixture(scope="module")
def source(toy_folder: Path, toy11: ToyCollection) -> JudgedCollection:
    return judged("eleven", toy_folder)


@pytest.fixture(scope="module")
def other(toy_folder12: Path) -> JudgedCollection:
    return judged("twelve", toy_folder12)


def judged(name: str, folder: Path) -> JudgedCollection:
    found = JudgedCollection.from_folder(name, folder)
    scores = found.judges["toy"]
    assert isinstance(scores, ScoreSet)
    return replace(found, judges={"toy": replace(scores, scale="log-odds")})


def test_the_number_itself_is_applied(source: JudgedCollection, other: JudgedCollection) -> None:
    moved = transfer(source, other, "toy")
    scores = other.judges["toy"]
    assert isinstance(scores, ScoreSet)
    expected = agree(other.collection, threshold(scores, moved.selection.threshold)).confusion.kappa
    assert moved.threshold == moved.selection.threshold
    assert moved.value == expected
    assert not moved.in_sample
    # By the score above the midpoint, the figure is that of the normative collection.
    assert value_at(other, "toy", 1.463) == pytest.approx(0.547933, abs=5e-7)


def test_a_threshold_that_the_other_grid_lacks_is_applied_all_the_same(
    source: JudgedCollection, other: JudgedCollection
) -> None:
    scores = other.judges["toy"]
    assert isinstance(scores, ScoreSet)
    narrow = replace(other, judges={"toy": replace(scores, scores=scores.scores / 100)})
    moved = transfer(source, narrow, "toy", grid="step:0.1")
    assert moved.threshold == 1.3
    assert moved.value == 0  # nothing reaches it there: known, bad, and no empty cell


def test_prevalence_carries_the_share(source: JudgedCollection, other: JudgedCollection) -> None:
    moved = transfer(source, other, "toy", grid="prevalence")
    scores = other.judges["toy"]
    assert isinstance(scores, ScoreSet)
    assert moved.threshold != moved.selection.threshold
    assert (scores.scores >= moved.threshold).mean() == pytest.approx(source.collection.relevant.mean(), abs=2e-3)
    assert moved.value == value_at(other, "toy", moved.threshold)


def test_orderings_are_transferred_where_there_are_runs(source: JudgedCollection, other: JudgedCollection) -> None:
    moved = transfer(source, other, "toy", "tau:nDCG@10", "step:0.1")
    assert moved.threshold == 0.7
    assert moved.value == pytest.approx(value_at(other, "toy", 0.7, "tau:nDCG@10"))
    bare = replace(other, collection=Collection.from_mappings(_grades(other.collection)))
    assert transfer(source, bare, "toy", "tau:nDCG@10", "step:0.1").value is None
    assert direct_value(bare, "toy", "tau:nDCG@10") is None
    assert direct_value(source, "toy", "tau:nDCG@10") == pytest.approx(0.878788, abs=5e-7)


def test_the_same_judgements_are_in_sample_whatever_the_name(source: JudgedCollection) -> None:
    assert transfer(source, replace(source, name="renamed"), "toy").in_sample


def test_labels_have_a_direct_value_and_no_threshold(source: JudgedCollection, other: JudgedCollection) -> None:
    grades = _grades(other.collection)
    same = align_judge(other.collection, JudgeFile("human-again", None, grades))
    with_labels = replace(other, judges={**other.judges, "human-again": same})
    assert direct_value(with_labels, "human-again") == 1
    assert direct_value(with_labels, "human-again", "tau:AP@100") == pytest.approx(1)
    assert value_at(with_labels, "human-again", 0.5) is None
    with pytest.raises(UserError, match="no scores in both"):
        transfer(with_labels, with_labels, "human-again")


def test_grades_share_the_human_binarisation_and_binary_labels_do_not(source: JudgedCollection) -> None:
    for grades, expected in (({"t00": {"d00000": 3}}, 2), ({"t00": {"d00000": 1}}, 1)):
        labels = align_judge(source.collection, JudgeFile("j", None, grades), on_missing="skip")
        assert isinstance(labels, LabelSet)
        assert labels.binarize_at == expected


def test_table_has_a_row_for_each_shared_judge(source: JudgedCollection, other: JudgedCollection) -> None:
    table = transfer_table(source, other, grids=("step:0.1", "exact"), at={"toy": 0.0})
    (row,) = table.rows
    assert [t.threshold for t in row.transferred] == [1.3, pytest.approx(1.4615)]
    assert (row.direct, row.value_at) == (pytest.approx(0.514148, abs=5e-7), pytest.approx(0.514148, abs=5e-7))
    with pytest.raises(UserError, match="share no judge"):
        transfer_table(source, replace(other, judges={"another": other.judges["toy"]}))


def test_published_figures_are_compared_and_differences_explained(
    source: JudgedCollection, other: JudgedCollection
) -> None:
    def table(at: float, selected_on: str = "eleven") -> TransferTable:
        figures = Published(selected_on, {"toy": Figures(direct=0.514, threshold=at, kappa=0.9)})
        return transfer_table(source, other, grids=("step:0.1",), published=figures)

    assert table(1.3).equal_to_published() == (1, 2)
    assert table(1.3).notes() == []
    assert "ours is better there (0.57694 against" in table(0.2).notes()[0]
    assert "selected on elsewhere, ours on eleven" in table(0.2, "elsewhere").notes()[0]
    exact = transfer_table(source, other, grids=("exact",), published=Published("eleven", {"toy": Figures(0, 1.3, 0)}))
    assert "between the published grid's points" in exact.notes()[0]


def test_reference_of_the_paper_covers_eight_judges_and_umbrela() -> None:
    published = read_reference("published")
    assert {name: table.selected_on for name, table in published.items()} == {"dl22": "dl21", "dl23": "dl22"}
    for table in published.values():
        assert len(table.judges) == 9
        assert sum(figures.threshold is not None for figures in table.judges.values()) == 8


@pytest.mark.parametrize(
    "text", ["x = 1", "[dl]\njudges = 3", "[dl.judges]\nj = { kapa = 1 }", "[dl]\nunknown = 1", "no toml ["]
)
def test_broken_references_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "figures.toml").write_text(text)
    with pytest.raises(UserError, match=r"figures\.toml: not"):
        read_reference(tmp_path / "figures.toml")


def test_folders_without_a_part_say_which(tmp_path: Path, toy11: ToyCollection) -> None:
    with pytest.raises(UserError, match=r"one file named qrels\*, found none"):
        JudgedCollection.from_folder("x", tmp_path)
    write_qrels(tmp_path / "qrels.txt", toy11.qrels)
    with pytest.raises(UserError, match="holds no judges"):
        JudgedCollection.from_folder("x", tmp_path)
    write_qrels(tmp_path / "qrels.gz", toy11.qrels)
    with pytest.raises(UserError, match=r"found qrels\.gz, qrels\.txt"):
        JudgedCollection.from_folder("x", tmp_path)


def test_one_judge_in_two_files_is_an_error(tmp_path: Path, toy11: ToyCollection) -> None:
    folder = toy11.write(tmp_path)
    write_qrels(folder / "judges" / "toy.qrels", toy11.qrels)
    with pytest.raises(UserError, match="judge toy of x is given twice"):
        JudgedCollection.from_folder("x", folder)


def _grades(collection: Collection) -> dict[str, dict[str, int]]:
    grades: dict[str, dict[str, int]] = {}
    for (qid, docid), grade in zip(collection.pairs(), np.asarray(collection.grades).tolist(), strict=True):
        grades.setdefault(qid, {})[docid] = grade
    return grades

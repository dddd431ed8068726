from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ir_shared.console import UserError
from rerank_judge.calibration import (
    Selection,
    parse_target,
    read_calibration,
    select_threshold,
    target_values,
    threshold_for,
    write_calibration,
)
from rerank_judge.collection import Collection
from rerank_judge.labeling import Scale, ScoreSet, align_scores

World = tuple[Collection, ScoreSet]


def test_selection_says_what_it_attains(loaded11: World) -> None:
    collection, scores = loaded11
    selection = select_threshold(collection, scores)
    assert selection.threshold == pytest.approx(1.4615)
    assert selection.plateau == (selection.threshold, selection.threshold)
    assert target_values(collection, scores, np.array([selection.threshold]), "kappa").item() == selection.value
    assert (selection.target, selection.grid, selection.judge, selection.scale) == ("kappa", "exact", "toy", "log-odds")


@pytest.mark.parametrize("target", ["kappa", "tau:AP@100", "tau:RR@10", "tau:nDCG@10"])
def test_exact_thresholds_are_at_least_as_good_as_any_grid_on_their_own_collection(
    loaded11: World, target: str
) -> None:
    collection, scores = loaded11
    exact = select_threshold(collection, scores, target, "exact")
    assert exact.value >= select_threshold(collection, scores, target, "step:0.1").value
    assert exact.value >= select_threshold(collection, scores, target, "logodds:0.25").value


def test_kappa_is_not_rounded_before_the_best_is_taken() -> None:
    """Two thresholds whose kappas agree in three decimals are not a tie."""
    n = 4000
    human = np.arange(n) < 1000
    scores = np.where(human, 0.9, 0.1)
    scores[500:1000] = 0.1
    scores[499] = 0.5
    docs = {f"d{i}": float(s) for i, s in enumerate(scores)}
    collection = Collection.from_mappings({"q": {f"d{i}": 2 * int(y) for i, y in enumerate(human)}})
    values = target_values(collection, align_scores(collection, {"q": docs}, "j"), np.array([0.4, 0.6]), "kappa")
    assert values[0] > values[1]
    assert round(values[0], 2) == round(values[1], 2)
    selection = select_threshold(collection, align_scores(collection, {"q": docs}, "j"), "kappa", "step:0.01")
    assert selection.plateau == (0.11, 0.5)
    assert selection.threshold == 0.3


def test_selection_does_not_depend_on_the_order_of_files_and_pairs(toy11: object, loaded11: World) -> None:
    from rerank_judge.toy import ToyCollection

    assert isinstance(toy11, ToyCollection)
    turned = ToyCollection(
        qrels={qid: dict(reversed(docs.items())) for qid, docs in reversed(toy11.qrels.items())},
        scores=toy11.scores,
        runs=dict(reversed(toy11.runs.items())),
    )
    for target in ("kappa", "tau:AP@100", "tau:nDCG@10"):
        first, second = (select_threshold(*world, target, "step:0.1") for world in (loaded11, turned.load()))
        assert (first.threshold, first.plateau) == (second.threshold, second.plateau)
        assert first.value == pytest.approx(second.value)


@pytest.mark.parametrize(("scale", "chosen"), [("log-odds", 0.0), ("logit", -8.75)])
def test_of_equal_plateaus_the_one_nearest_the_judges_own_decision_or_the_median_score_wins(
    scale: Scale, chosen: float
) -> None:
    collection = Collection.from_mappings({"q": {"a": 2, "b": 0, "c": 2, "d": 0}})
    scores = align_scores(collection, {"q": {"a": 0.5, "b": -0.5, "c": -8.5, "d": -9.0}}, "j", scale=scale)
    selection = select_threshold(collection, scores)
    assert (selection.threshold, selection.value, selection.n_best) == (chosen, 0.5, 2)


def test_undefined_tau_is_never_selected(loaded11: World) -> None:
    """Above all scores every system ties; the grid reaches there, the selection does not."""
    collection, scores = loaded11
    values = target_values(collection, scores, np.array([0.0, 100.0]), "tau:AP@100")
    assert np.isnan(values[1])
    assert not np.isnan(select_threshold(collection, scores, "tau:AP@100", "step:0.1", tie_break="last").value)


def test_nothing_selectable_is_an_error_with_the_reason() -> None:
    negative = Collection.from_mappings({"q": {"a": 2, "b": 2}})
    scores = align_scores(negative, {"q": {"a": 0.5, "b": 0.5}}, "j")
    with pytest.raises(UserError, match=r"kappa is undefined at all 1 thresholds \(all labels are of one class\)"):
        select_threshold(negative, scores)
    runs = {s: {"q": {"a": 1.0, "b": 0.5}} for s in ("s", "t", "u")}
    tied = Collection.from_mappings({"q": {"a": 2, "b": 0}}, runs)
    with pytest.raises(UserError, match="all systems tie"):
        select_threshold(tied, align_scores(tied, {"q": {"a": 0.9, "b": 0.1}}, "j"), "tau:AP@100")


def test_an_ordering_needs_three_runs(loaded11: World) -> None:
    collection = Collection.from_mappings({"q": {"a": 2, "b": 0}}, {"s": {"q": {"a": 1.0}}})
    with pytest.raises(UserError, match="at least 3 runs"):
        select_threshold(collection, align_scores(collection, {"q": {"a": 0.9, "b": 0.1}}, "j"), "tau:AP@100")


def test_prevalence_carries_the_share_and_not_the_number(loaded11: World, loaded12: World) -> None:
    collection, scores = loaded11
    selection = select_threshold(collection, scores, "kappa", "prevalence")
    assert selection.positive_rate == pytest.approx(311 / 1200)
    assert abs((scores.scores >= selection.threshold).mean() - 311 / 1200) < 1e-3
    other = loaded12[1]
    carried = threshold_for(selection, other)
    assert carried != selection.threshold
    assert abs((other.scores >= carried).mean() - 311 / 1200) < 2e-3
    assert threshold_for(select_threshold(collection, scores), other) == pytest.approx(1.4615)


def test_artefact_reads_back_and_foreign_files_are_refused(loaded11: World, tmp_path: Path) -> None:
    selection = select_threshold(*loaded11)
    write_calibration(tmp_path / "cal.json", selection, {"seed": None})
    assert read_calibration(tmp_path / "cal.json") == (selection, {"seed": None})
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(UserError, match="not a calibration"):
        read_calibration(tmp_path / "other.json")
    document = json.loads((tmp_path / "cal.json").read_text())
    del document["selection"]["threshold"]
    (tmp_path / "cut.json").write_text(json.dumps(document))
    with pytest.raises(UserError, match="damaged"):
        read_calibration(tmp_path / "cut.json")
    assert isinstance(selection, Selection)


def test_targets_have_one_spelling() -> None:
    assert parse_target("tau:map@100") == "tau:AP@100"
    for text in ("tau", "kappa:AP@100", "rho:AP@100", ""):
        with pytest.raises(UserError, match="use kappa or tau:METRIC"):
            parse_target(text)

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ir_shared.claims import Claim, Context, Control, Criterion, Measurement, NeedsData, Verdict

YES, NO, OPEN = Verdict.REPRODUCED, Verdict.NOT_REPRODUCED, Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("criterion", "interval", "verdict"),
    [
        (Criterion.at_least(1), (1.0, 2.0), YES),
        (Criterion.at_least(1), (0.9, 2.0), OPEN),
        (Criterion.at_least(1), (0.1, 0.9), NO),
        (Criterion.above(1), (1.0, 2.0), OPEN),
        (Criterion.above(1), (0.5, 1.0), NO),
        (Criterion.below(1), (1.0, 1.5), NO),
        (Criterion.at_most(1), (0.5, 1.0), YES),
        (Criterion.between(1, 2), (0.5, 2.5), OPEN),
        (Criterion.between(1, 2), (2.1, 2.5), NO),
        (Criterion.between(1, 2), (1.2, 1.9), YES),
    ],
)
def test_an_interval_decides_as_a_whole_or_not_at_all(criterion, interval, verdict):
    assert criterion.decide(sum(interval) / 2, interval) is verdict


@given(st.floats(-5, 5), st.sampled_from([Criterion.at_least(1), Criterion.above(1), Criterion.between(-1, 1)]))
def test_an_exact_value_is_never_inconclusive(value, criterion):
    assert criterion.decide(value) is (YES if criterion.holds(value) else NO)


@pytest.mark.parametrize("interval", [(math.nan, 1.0), (2.0, 1.0), (0.0, math.inf)])
def test_an_interval_that_is_none_is_refused(interval):
    with pytest.raises(ValueError, match="cannot decide"):
        Criterion.at_least(0).decide(1.0, interval)
    with pytest.raises(ValueError, match="cannot decide"):
        Criterion.at_least(0).decide(math.nan)


def test_criteria_read_as_one_would_write_them():
    assert [str(c) for c in (Criterion.at_least(0.5), Criterion.below(2), Criterion.between(0, 1))] == [
        "≥ 0.5",
        "< 2",
        "0 ≤ value ≤ 1",
    ]


def _claim(**changes):
    given = {
        "name": "c",
        "statement": "s",
        "paper": None,
        "paper_note": "none given",
        "unit": "",
        "criterion": Criterion.at_least(0),
        "measure": lambda context: Measurement(1.0, "nothing"),
        "control": Control("none", lambda context: Measurement(-1.0, "nothing")),
    }
    return Claim(**{**given, **changes})


def test_a_claim_with_randomness_takes_three_seeds():
    with pytest.raises(ValueError, match="three seeds"):
        _claim(seeds=2)
    assert _claim(seeds=3).seeds == 3


def test_a_claim_says_where_its_figure_comes_from():
    with pytest.raises(ValueError, match="where the paper's figure stands"):
        _claim(paper_note="")


def test_missing_data_names_the_file_and_the_flag(tmp_path):
    context = Context("quick", 0, tmp_path, tmp_path)
    (tmp_path / "there").touch()
    assert context.data("there") == tmp_path / "there"
    with pytest.raises(NeedsData, match=r"dl22/qrels .*--data"):
        context.data("dl22/qrels")
    assert not Context("quick", 0, tmp_path).has_data("there")

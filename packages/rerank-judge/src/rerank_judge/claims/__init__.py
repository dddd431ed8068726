"""What the paper claims, put to the test by ``reproduce``.

Without data, claims are decided on the toy collection, whose judges imitate how the three families state their scores;
with TREC Deep Learning 2022 and 2023 below ``--data``, on the published scores of eight re-rankers.
"""

from __future__ import annotations

from ir_shared.claims import Claim, Control, Criterion, Need

from rerank_judge.claims import thresholds

__all__ = ["CLAIMS"]

_JUDGES = tuple(
    Need(f"trec-dl/{year}/{what}", f"TREC Deep Learning {name}: {text}")
    for year, name in (("dl22", "2022"), ("dl23", "2023"))
    for what, text in (("qrels*", "passage labels"), ("judges/*", "scores of the judges for every judged pair"))
)

CLAIMS = (
    Claim(
        name="threshold-sensitivity",
        statement=(
            "How much a judge's agreement with humans depends on the threshold differs by family: Rank1 hardly "
            "reacts, monoT5 moderately, RankLLaMA strongly."
        ),
        paper=0.056,
        paper_note=(
            "the smaller of the two steps between families on DL21, computed from the official score files: κ ranges "
            "over 0.004 (Rank1-7B), 0.060 (monoT5 base), 0.359 (RankLLaMA-13B)"
        ),
        unit="κ",
        criterion=Criterion.above(0.0),
        measure=thresholds.sensitivity,
        control=Control("the same with the family names passed on by one", thresholds.sensitivity_renamed),
        needs=_JUDGES,
    ),
    Claim(
        name="exact-thresholds-transfer",
        statement=(
            "For judges whose probabilities crowd near 0 and 1, a threshold found among all distinct scores of one "
            "collection agrees better with humans on another than one found on the paper's grid of 0.01."
        ),
        paper=None,
        paper_note="the paper uses the grid only",
        unit="κ",
        criterion=Criterion.above(0.0),
        measure=thresholds.exact_against_grid,
        control=Control(
            "the exact threshold found after shuffling the source's human labels", thresholds.shuffled_source
        ),
        needs=_JUDGES,
    ),
)

"""What the paper claims, put to the test by ``reproduce``.

Without data, claims are decided on the toy collection, whose judges imitate how the three families state their scores;
with TREC Deep Learning 2022 and 2023 below ``--data``, on the published scores of eight re-rankers.
"""

from __future__ import annotations

from ir_shared.claims import Claim, Control, Criterion, Need

from rerank_judge.claims import agreement, bias, holes, thresholds
from rerank_judge.claims.published import needs, paper_needs

__all__ = ["CLAIMS"]

_JUDGES = tuple(
    Need(f"trec-dl/{year}/{what}", f"TREC Deep Learning {name}: {text}")
    for year, name in (("dl22", "2022"), ("dl23", "2023"))
    for what, text in (("qrels*", "passage labels"), ("judges/*", "scores of the judges for every judged pair"))
)

_MECHANISM = "the mechanism only: tiny models trained on synthetic topics stand in for the published ones"

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
    Claim(
        name="rerankers-match-the-llm-judge",
        statement=(
            "The best re-ranker judge agrees with humans, pair by pair and in the order of systems, at least as well "
            "as the LLM judge UMBRELA in around 40 to 50 % of the cases."
        ),
        paper=0.45,
        paper_note=(
            "9 of 20 cells, by its own decisions and by transferred thresholds alike (five years; κ, τ of MAP, MRR and "
            "nDCG; ≥ at three decimals), counted from the official result files; how the authors counted is unknown"
        ),
        unit="share of the decided cells",
        criterion=Criterion.at_least(0.4),
        measure=agreement.best_reranker,
        control=Control("each re-ranker's scores shuffled among a topic's pairs", agreement.best_shuffled),
        needs=(*needs("dl22", runs=True), *needs("dl23")),
    ),
    Claim(
        name="self-and-family-preference",
        statement="A re-ranker as a judge favours its own ranking, and the rankings of its family.",
        paper=None,
        paper_note=(
            "the paper shows scatter plots; in the official files both preferences are positive in 40 of 40 cells of "
            "judge and year"
        ),
        unit="AP@100",
        criterion=Criterion.above(0.0),
        measure=bias.paper_preference,
        control=Control("each family's systems given to the next family", bias.paper_preference_passed_on),
        scale="paper",
        needs=paper_needs(),
    ),
    Claim(
        name="self-and-family-preference-judged-pool",
        statement=(
            "A re-ranker as a judge favours its own ranking, and the rankings of its family, also where each ranks the "
            "judged passages, without BM25 and without holes."
        ),
        paper=None,
        paper_note="the paper re-ranks BM25's results, where holes interfere",
        unit="AP@100",
        criterion=Criterion.above(0.0),
        measure=bias.pool_preference,
        control=Control("each family's systems given to the next family", bias.pool_preference_passed_on),
        needs=needs("dl22", "dl23"),
    ),
    Claim(
        name="rank1-is-pushed-down",
        statement="Judges of the families monoT5 and RankLLaMA push the systems of Rank1 down.",
        paper=-0.158,
        paper_note=(
            "the smaller effect, that of monoT5's judges, on DL19, from the official files; RankLLaMA's is -0.172"
        ),
        unit="AP@100",
        criterion=Criterion.below(0.0),
        measure=bias.paper_push,
        control=Control("each family's systems given to the next family", bias.paper_push_passed_on),
        scale="paper",
        needs=paper_needs(),
    ),
    Claim(
        name="rank1-is-pushed-down-judged-pool",
        statement=(
            "Judges of the families monoT5 and RankLLaMA push the systems of Rank1 down, also where each ranks the "
            "judged passages, without BM25 and without holes."
        ),
        paper=None,
        paper_note="the paper re-ranks BM25's results, where holes interfere",
        unit="AP@100",
        criterion=Criterion.below(0.0),
        measure=bias.pool_push,
        control=Control("each family's systems given to the next family", bias.pool_push_passed_on),
        needs=needs("dl22", "dl23"),
    ),
    Claim(
        name="tiny-rerankers-favour-themselves",
        statement="A re-ranker as a judge overrates its own ranking, beyond what judges of other families give it.",
        paper=None,
        paper_note=_MECHANISM,
        unit="AP@100",
        criterion=Criterion.above(0.0),
        measure=bias.tiny_self,
        control=Control("each family's systems given to the next family", bias.tiny_self_passed_on),
        seeds=3,
    ),
    Claim(
        name="tiny-rerankers-favour-their-family",
        statement=(
            "A re-ranker as a judge overrates the rankings of others that share its architecture and training data, "
            "beyond what judges of other families give them."
        ),
        paper=None,
        paper_note=_MECHANISM,
        unit="AP@100",
        criterion=Criterion.above(0.0),
        measure=bias.tiny_family,
        control=Control("each family's systems given to the next family", bias.tiny_family_passed_on),
        seeds=3,
    ),
    Claim(
        name="holes-behind-cross-family-bias",
        statement="Unjudged documents explain part of how judges of other families push Rank1's systems down.",
        paper=None,
        paper_note="the paper does not look at unjudged documents",
        unit="share of the effect",
        criterion=Criterion.above(0.0),
        measure=holes.condensed_push,
        control=Control("lists as they are on both sides", holes.unchanged_push),
        scale="paper",
        needs=paper_needs(),
    ),
    Claim(
        name="holes-behind-disagreement-on-runs",
        statement=(
            "Unjudged documents explain part of the disagreement between judges and humans on the order of submitted "
            "runs: without them the judges order the runs more as humans do."
        ),
        paper=None,
        paper_note="the paper does not look at unjudged documents",
        unit="τ",
        criterion=Criterion.above(0.0),
        measure=holes.condensed_tau,
        control=Control("as many documents taken out of each list at random", holes.thinned_tau),
        needs=needs("dl22", runs=True),
    ),
)

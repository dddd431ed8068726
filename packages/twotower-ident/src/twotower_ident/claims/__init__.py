"""What the paper claims, put to the test by ``reproduce``.

At ``quick`` without data, clicks are simulated on synthetic documents; from ``laptop`` on, or with the rows below
``--data``, on real MSLR rows. Claims of scale ``paper`` run the paper's experiments on all of MSLR-WEB30K fold 1.
"""

from __future__ import annotations

from ir_shared.claims import Claim, Control, Criterion

from twotower_ident.claims import identification, misfit, mslr_web30k, right_model, weighting
from twotower_ident.claims.documents import NEEDS

__all__ = ["CLAIMS"]

_DERIVED = "the paper has figures of sampled logs only; in the population limit the theory says 0"
_WRONG = "users who go by the labels, which the tower cannot express"
_RIGHT = "users whom the tower can express"

CLAIMS = (
    Claim(
        name="right-model-any-policy",
        statement=(
            "When the model is right, the logging policy adds no bias, however good or bad and even if deterministic: "
            "the tower on features finds the users' position bias exactly."
        ),
        paper=None,
        paper_note=_DERIVED,
        unit="logit",
        criterion=Criterion.at_most(1e-6),
        measure=right_model.population,
        control=Control(_WRONG, right_model.population_wrong),
        needs=NEEDS,
    ),
    Claim(
        name="right-model-any-policy-sampled",
        statement="The same on simulated logs: whatever the policy, the bias curve is close to the users'.",
        paper=0.0192,
        paper_note="the largest mean squared error of the curve of the linear tower that fits, official result files",
        unit="squared logit",
        criterion=Criterion.at_most(0.02),
        measure=right_model.sampled,
        control=Control(_WRONG, right_model.sampled_wrong),
        seeds=3,
        needs=NEEDS,
    ),
    Claim(
        name="misfit-and-policy-amplify-bias",
        statement=(
            "When the model is wrong, the policy bends the bias curve, the more the less it explores: too steep with "
            "good documents on top, too flat with good documents at the bottom."
        ),
        paper=0.476,
        paper_note="the smallest of the same steps in the official result files (deep tower, MSLR-WEB30K)",
        unit="logit",
        criterion=Criterion.above(0.1),
        measure=misfit.sign_pattern,
        control=Control(_RIGHT, misfit.sign_pattern_right),
        needs=NEEDS,
    ),
    Claim(
        name="real-rows-land-near-the-official-curves",
        statement=(
            "In the population limit on real rows, a linear tower's bias at position 25 is that of the paper's deep "
            "tower on MSLR-WEB30K, within 0.35, for five policies."
        ),
        paper=None,
        paper_note="θ_25 is −4.591, −3.949, −3.017, −2.015 and −1.539 in the official result files",
        unit="logit",
        criterion=Criterion.at_most(0.35),
        measure=misfit.near_official,
        control=Control(_RIGHT, misfit.near_official_right),
        scale="laptop",
        needs=NEEDS,
    ),
    Claim(
        name="weighting-collapses-the-curves",
        statement=(
            "Weighting each impression by the inverse of its placement propensity gives the curve of uniform logging, "
            "whatever policy explored. It is not the users' curve."
        ),
        paper=None,
        paper_note=_DERIVED,
        unit="logit",
        criterion=Criterion.at_most(1e-6),
        measure=weighting.collapse,
        control=Control("without weights", weighting.collapse_unweighted),
        needs=NEEDS,
    ),
    Claim(
        name="weighting-collapses-the-curves-sampled",
        statement="The same on simulated logs, with propensities counted in the log.",
        paper=0.095,
        paper_note="the range of weighted θ_25 over the exploring expert policies, official result files",
        unit="logit",
        criterion=Criterion.at_most(0.2),
        measure=weighting.collapse_sampled,
        control=Control("without weights", weighting.collapse_sampled_unweighted),
        seeds=3,
        needs=NEEDS,
    ),
    Claim(
        name="weighting-does-nothing-without-exploration",
        statement="On the log of a deterministic policy all weights are 1 and change nothing, to the last bit.",
        paper=0.0,
        paper_note=(
            "θ_25 of the linear tower is −5.133 with and without weights in the official result files; deep towers, "
            "trained anew, differ by 0.008"
        ),
        unit="logit",
        criterion=Criterion.at_most(0.0),
        measure=weighting.no_effect_without_exploration,
        control=Control("policies that shuffle a third of the sessions", weighting.no_effect_with_exploration),
        needs=NEEDS,
    ),
    Claim(
        name="weighting-changes-rankings-little",
        statement="Placement weights change the nDCG@10 of the ranking by less than 0.01.",
        paper=0.0072,
        paper_note="the largest seed-paired change of the expert policies, official result files",
        unit="nDCG@10",
        criterion=Criterion.at_most(0.01),
        measure=weighting.small,
        control=Control("all but five features withheld instead", weighting.small_few_features),
        seeds=3,
        needs=NEEDS,
    ),
    Claim(
        name="weighting-helps-some-rankings-and-harms-others",
        statement="Placement weights raise nDCG@10 under some policies and lower it under others.",
        paper=0.0041,
        paper_note="the largest gain; the largest loss is 0.0072 (official result files)",
        unit="nDCG@10",
        criterion=Criterion.above(0.0),
        measure=weighting.changes_signs,
        control=Control("deterministic policies, whose weights are 1", weighting.changes_signs_without_exploration),
        seeds=3,
        needs=NEEDS,
    ),
    Claim(
        name="embeddings-need-swaps",
        statement=(
            "A relevance tower of one parameter a pair recovers no position contrast from a policy that always shows "
            "the same order, however good."
        ),
        paper=None,
        paper_note=(
            "the official curves have a mean squared error of 1.54, 0.58 and 0.14 at α = −1, 0 and 1, and 0.0003 with "
            "full randomisation; they show where training began"
        ),
        unit="share of contrasts",
        criterion=Criterion.at_most(0.0),
        measure=identification.embedding_without_exploration,
        control=Control("one session in ten shuffled", identification.embedding_with_exploration),
        needs=NEEDS,
    ),
    Claim(
        name="feature-overlap-identifies",
        statement="Without a single swap, a tower on features is identified where features of the positions overlap.",
        paper=None,
        paper_note="the paper states a condition, no figure",
        unit="share of contrasts",
        criterion=Criterion.at_least(1.0),
        measure=identification.features_overlapping,
        control=Control("features of different positions lie apart", identification.features_apart),
    ),
    Claim(
        name="neither-swaps-nor-overlap-identify-nothing",
        statement="Without swaps and without overlap of features, a flexible tower on features recovers no contrast.",
        paper=None,
        paper_note="the paper states a condition, no figure; a linear tower is identified by its form nevertheless",
        unit="share of contrasts",
        criterion=Criterion.at_most(0.0),
        measure=identification.features_apart,
        control=Control("features of neighbouring positions overlap", identification.features_overlapping),
    ),
    Claim(
        name="exploration-efficiency",
        statement=(
            "Shuffling a share τ of the sessions is worth τ (2 − τ) of full randomisation, for every position contrast."
        ),
        paper=None,
        paper_note="not in the paper: derived from the information of the additive model, exact in expectation",
        unit="relative distance from the formula",
        criterion=Criterion.at_most(0.03),
        measure=identification.efficiency,
        control=Control("held against τ instead", identification.efficiency_as_share),
        seeds=3,
    ),
    *mslr_web30k.CLAIMS,
)

"""The claims on judges' bias and on the LLM judge: controls fail, and the paper's setting is ready for its data."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from ir_shared.claims import Claim, Context, Measurement, NeedsData, Verdict
from ir_shared.trec import write_qrels, write_run
from rerank_judge.claims import CLAIMS, tiny_rerankers
from rerank_judge.claims.published import PAPER_FAMILIES, UMBRELA
from rerank_judge.scorers import load_scorer
from rerank_judge.toy import ToyCollection, toy_collection, toy_text

BY_NAME = {claim.name: claim for claim in CLAIMS}
ON_DATA = [claim for claim in CLAIMS if any(need.required for need in claim.needs) and claim.scale == "quick"]
PAPER = [claim for claim in CLAIMS if claim.scale == "paper"]


def verdict(claim: Claim, found: Measurement) -> Verdict:
    return claim.criterion.decide(found.value, found.interval)


@pytest.fixture
def real(tmp_path: Path) -> Context:
    root = os.environ.get("IR_DATA")
    if root is None or not (Path(root) / "trec-dl" / "dl22").exists():
        pytest.skip("needs IR_DATA with trec-dl/dl22 and trec-dl/dl23")
    return Context("quick", 0, tmp_path, Path(root))


@pytest.fixture(scope="module")
def paper_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Toy collections in the places of the paper's five years.

    Families share an error of their own, and Rank1's systems retrieve six unjudged documents first.
    """
    root = tmp_path_factory.mktemp("data")
    for i, year in enumerate(("dl19", "dl20", "dl21", "dl22", "dl23")):
        toy = toy_collection(50 + i, T=12, D=40, S=4, K=30)
        folder = root / "trec-dl" / year
        toy.write(folder)
        (folder / "judges" / "toy.scores").unlink()
        write_qrels(folder / "judges" / f"{UMBRELA}.qrels", toy.qrels)
        write_run(folder / "rerankers" / "bm25.txt", toy.runs["sys00"], "bm25")
        for f, (family, names) in enumerate(PAPER_FAMILIES.members.items()):
            for k, name in enumerate(names):
                scores = judged(toy, family, 1000 * i + 100 * f, k)
                write_run(folder / "judges" / f"{name}.scores", scores, name)
                holes = {f"hole{k}{h}": 2.0 for h in range(6)} if family == "Rank1" else {}
                write_run(folder / "rerankers" / f"{name}.txt", {q: d | holes for q, d in scores.items()}, name)
    return root


def judged(toy: ToyCollection, family: str, seed: int, member: int) -> dict[str, dict[str, float]]:
    """Scores with an error that the family shares and one of the member's own, on the family's scale."""
    shared, own = np.random.default_rng(seed), np.random.default_rng(seed + 1 + member)
    scores = {
        q: {d: g - 0.5 + 1.5 * shared.normal() + 0.3 * own.normal() for d, g in docs.items()}
        for q, docs in toy.qrels.items()
    }
    if family == "RankLLaMA":
        return {q: {d: x + 4.0 for d, x in docs.items()} for q, docs in scores.items()}
    return {q: {d: float(1 / (1 + np.exp(-2 * x))) for d, x in docs.items()} for q, docs in scores.items()}


@pytest.mark.parametrize("claim", ON_DATA, ids=lambda claim: claim.name)
def test_on_published_judges_the_control_fails_and_the_figures_are_there(claim: Claim, real: Context) -> None:
    assert verdict(claim, claim.control.measure(real)) is Verdict.NOT_REPRODUCED
    found = claim.measure(real)
    low, high = found.interval
    assert low <= found.value <= high
    assert "real" in found.data
    for figure in found.figures:
        assert (real.folder / f"{figure.name}.svg").stat().st_size > 1000


def test_every_way_of_counting_says_what_is_missing(real: Context) -> None:
    details = BY_NAME["rerankers-match-the-llm-judge"].measure(real).details
    counts = {name: text for name, text in details.items() if "best re-ranker" in name}
    assert len(counts) == 8
    assert counts["direct, best re-ranker ≥ UMBRELA, κ, τ MAP, τ MRR"] == "2 of 4 decided; 11 of 15 missing"
    assert counts["direct, best re-ranker > UMBRELA, κ, τ MAP, τ MRR, τ nDCG"] == "2 of 5 decided; 15 of 20 missing"
    assert counts["thresholds, best re-ranker ≥ UMBRELA, κ, τ MAP, τ MRR, τ nDCG"] == "1 of 2 decided; 18 of 20 missing"
    assert details["dl22 κ, direct"] == "rank1-7b 0.425, UMBRELA 0.421"
    assert details["dl23 κ, thresholds"] == "rank1-14b 0.406, UMBRELA 0.418"


def test_every_published_judge_favours_its_own_and_its_family_in_the_judged_pool(real: Context) -> None:
    details = BY_NAME["self-and-family-preference-judged-pool"].measure(real).details
    assert details["judges and years that favour their own system"] == "16 of 16"
    assert details["judges and years that favour their family's others"] == "16 of 16"


@pytest.mark.parametrize("claim", [*ON_DATA, *PAPER], ids=lambda claim: claim.name)
def test_without_data_a_claim_says_what_it_needs(claim: Claim, tmp_path: Path) -> None:
    with pytest.raises(NeedsData, match=r"trec-dl/dl\d\d"):
        claim.measure(Context("paper", 0, tmp_path))


@pytest.mark.filterwarnings("ignore::ir_shared.console.DataWarning")
@pytest.mark.parametrize("claim", PAPER, ids=lambda claim: claim.name)
def test_the_papers_setting_runs_on_data_in_its_place(claim: Claim, paper_data: Path, tmp_path: Path) -> None:
    context = Context("paper", 0, tmp_path, paper_data)
    assert verdict(claim, claim.control.measure(context)) is not Verdict.REPRODUCED
    found = claim.measure(context)
    assert np.isfinite([found.value, *found.interval]).all()
    assert found.interval[0] <= found.value <= found.interval[1]
    assert all(need.files(paper_data) for need in claim.needs)
    assert "DL19 to DL23" in found.data


@pytest.mark.filterwarnings("ignore::ir_shared.console.DataWarning")
def test_in_the_papers_setting_shared_errors_and_holes_show(paper_data: Path, tmp_path: Path) -> None:
    context = Context("paper", 0, tmp_path, paper_data)
    preference = BY_NAME["self-and-family-preference"]
    assert verdict(preference, preference.measure(context)) is Verdict.REPRODUCED
    holes = BY_NAME["holes-behind-cross-family-bias"]
    assert holes.control.measure(context).value == 0
    judged = holes.measure(context).details["judged@10, DL19"]
    assert "rank1-7b 0.40" in judged
    assert "monot5-base 1.00" in judged


@pytest.mark.slow
def test_tiny_rerankers_favour_their_kind_and_nobody_elses(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the extra claims")
    context = Context("quick", 0, tmp_path)
    for name in ("tiny-rerankers-favour-themselves", "tiny-rerankers-favour-their-family"):
        claim = BY_NAME[name]
        assert claim.criterion.holds(claim.measure(context).value)
        assert not claim.criterion.holds(claim.control.measure(context).value)


@pytest.fixture(scope="module")
def hardly_trained() -> Iterator[tiny_rerankers.TinyWorld]:
    """The tiny re-rankers after one or two steps."""
    pytest.importorskip("torch", reason="needs the extra claims")
    with pytest.MonkeyPatch.context() as patch:
        for name, size in (("_TRAINING", (3, 20)), ("_CALIBRATION", (3, 10)), ("_TEST", (4, 12))):
            patch.setattr(tiny_rerankers, name, dict(zip("TD", size, strict=True)))
        yield tiny_rerankers.tiny_world.__wrapped__(0)


@pytest.mark.filterwarnings("ignore::ir_shared.console.DataWarning")
def test_each_tiny_reranker_is_judge_and_system(hardly_trained: tiny_rerankers.TinyWorld) -> None:
    world = hardly_trained
    assert world.collection.judged.all()
    members = [name for names in world.families.members.values() for name in names]
    assert [labels.name for labels in world.labels] == list(world.collection.systems) == members
    assert len(world.families.members) == 3


@pytest.mark.parametrize("family", list(tiny_rerankers.KINDS))
def test_a_tiny_reranker_is_trained_on_what_its_judge_reads(family: str, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the extra claims")
    from transformers import AutoTokenizer

    text = toy_text(1, T=2, D=6)
    folder = tiny_rerankers._train(tmp_path / "model", family, 24, text, 3)
    pairs = tiny_rerankers._pairs(text)
    scorer = load_scorer(tiny_rerankers._SPECS[family].format(folder), device="cpu")
    judged = [scored.score for scored in scorer.score(pairs)]
    model = tiny_rerankers._load(folder, family).eval()
    trained = tiny_rerankers._forward(model, AutoTokenizer.from_pretrained(folder), family, pairs)
    np.testing.assert_allclose(trained.detach().numpy(), judged, atol=2e-5)

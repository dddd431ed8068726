"""A study from its file to its tables, its resuming, and its refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ir_shared.console import PartialResult, UserError
from ir_shared.trec import write_run
from rerank_judge.agreement import agree
from rerank_judge.bias import bias_report
from rerank_judge.crossval import cross_validate
from rerank_judge.families import Families
from rerank_judge.holes import condense
from rerank_judge.judged import JudgedCollection
from rerank_judge.judged_pool import judged_pool
from rerank_judge.labeling import align_scores, direct
from rerank_judge.study import run_study
from rerank_judge.study_config import StudyConfig
from rerank_judge.study_parts import plan
from rerank_judge.study_plots import plot_study
from rerank_judge.toy import ToyCollection, toy_collection
from rerank_judge.transfer_table import transfer_table

pytestmark = pytest.mark.filterwarnings("ignore::ir_shared.console.DataWarning")

STUDY = """\
title = "Toy & test_study"
seed = 1
bootstrap = 40
metrics = ["AP@100", "nDCG@10"]

[[collections]]
name = "toy11"
folder = "toy11"
rerankers = "toy11/rerankers"

[[collections]]
name = "toy12"
folder = "toy12"

[scales]
toy = "log-odds"
toy-noisy = "log-odds"
toy_logit = "logit"

[transfer]
targets = ["kappa", "tau:AP@100"]
grids = ["step:0.1", "exact"]
folds = 3

[bias]
holes = ["raw", "condensed"]
judged_pool = true
baselines = ["bm25"]

[bias.families]
A = ["toy", "toy-noisy"]
B = ["toy_logit"]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two toy collections with three judges each; the first has re-ranked runs with holes."""
    place = tmp_path_factory.mktemp("study")
    (place / "study.toml").write_text(STUDY)
    for seed in (11, 12):
        toy = toy_collection(seed, T=12, D=40, S=6, K=30)
        toy.write(place / f"toy{seed}")
        for i, (name, noise) in enumerate((("toy-noisy", 1.0), ("toy_logit", 3.0))):
            write_run(place / f"toy{seed}" / "judges" / f"{name}.scores", noisy(toy, noise, i), name)
    toy = toy_collection(11, T=12, D=40, S=6, K=30)
    systems = {
        "toy": toy.scores,
        "toy-noisy": noisy(toy, 1.0, 0),
        "toy_logit": noisy(toy, 3.0, 1),
        "bm25": noisy(toy, 9.0, 2),
    }
    for s, (name, run) in enumerate(systems.items()):
        holed = {qid: docs | {f"hole{s}{i}": 3.0 + 10 * s - i for i in range(3)} for qid, docs in run.items()}
        write_run(place / "toy11" / "rerankers" / f"{name}.txt", holed, name)
    return place


def noisy(toy: ToyCollection, noise: float, seed: int) -> dict[str, dict[str, float]]:
    rng = np.random.default_rng(seed)
    return {q: {d: x + noise * rng.standard_normal() for d, x in docs.items()} for q, docs in toy.scores.items()}


def read(folder: Path) -> StudyConfig:
    return StudyConfig.read(folder / "study.toml", (folder,))


@pytest.fixture(scope="module")
def done(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    run_study(read(folder), out, plots=False)
    return out


def results(out: Path) -> dict:
    return json.loads((out / "results.json").read_text())


def test_every_question_that_there_is_data_for_is_answered(done: Path) -> None:
    found = results(done)
    assert set(found["parts"]) == {
        "agreement/toy11",
        "agreement/toy12",
        "orderings/toy11",
        "orderings/toy12",
        *(f"transfer/toy{a}-to-toy{b}-{t}" for a, b in ((11, 12), (12, 11)) for t in ("kappa", "tau-AP-100")),
        "folds/toy11",
        "folds/toy12",
        "bias/toy11-raw",
        "bias/toy11-condensed",
        "bias/toy12-judged-pool",
    }
    assert found["missing"] == []
    for name in ("tables.md", "tables.tex"):
        text = (done / name).read_text()
        assert "nan" not in text.lower().split()
        for subject in ("toy11", "toy12", "re-rankers of toy11", "judged pool of toy12"):
            assert subject in text


def test_each_kind_of_part_is_drawn_and_only_anew_if_it_is_new(done: Path, tmp_path: Path) -> None:
    parts = results(done)["parts"]
    names = ["agreement/toy11", "orderings/toy12", "transfer/toy11-to-toy12-kappa", "folds/toy11", "bias/toy11-raw"]
    some = {name: parts[name] for name in names}
    plots = plot_study(tmp_path, some, names)
    assert [path.name for path in plots] == [
        "agreement-toy11",
        "orderings-toy12",
        "transfer-toy11-to-toy12-kappa",
        "bias-toy11-raw-systems",
        "bias-toy11-raw-families",
    ]
    files = [path.with_name(f"{path.name}.{kind}") for path in plots for kind in ("svg", "png")]
    assert all(file.stat().st_size > 1000 for file in files)
    assert "κ with human labels" in files[0].read_text()
    files[0].write_text("kept")
    files[2].unlink()
    assert plot_study(tmp_path, some, []) == plots
    assert files[0].read_text() == "kept"
    assert files[2].exists()


def test_the_numbers_are_those_of_the_library(folder: Path, done: Path) -> None:
    parts = results(done)["parts"]
    judged = JudgedCollection.from_folder("toy11", folder / "toy11")
    toy = judged.judges["toy"]
    scores = align_scores(judged.collection, toy_scores(folder), "toy", scale="log-odds")
    row = next(row for row in parts["agreement/toy11"]["rows"] if row["judge"] == "toy")
    found = agree(judged.collection, direct(scores), n_boot=40, seed=1)
    assert row["kappa"] == found.confusion.kappa
    assert row["interval"] == [found.interval.low, found.interval.high]
    folds = next(row for row in parts["folds/toy11"]["rows"] if row["judge"] == "toy")
    assert folds["value"] == cross_validate(judged.collection, scores, k=3, seed=1).value
    target = JudgedCollection.from_folder("toy12", folder / "toy12")
    table = transfer_table(judged, target, "kappa", ("step:0.1", "exact"))
    expected = next(row for row in table.rows if row.judge == "toy_logit")
    row = next(row for row in parts["transfer/toy11-to-toy12-kappa"]["rows"] if row["judge"] == "toy_logit")
    assert [row["grids"][g]["value"] for g in ("step:0.1", "exact")] == [one.value for one in expected.transferred]
    assert toy.name == "toy"


def toy_scores(folder: Path) -> dict[str, dict[str, float]]:
    from ir_shared.trec import read_run

    return read_run(folder / "toy11" / "judges" / "toy.scores")


def test_judges_without_a_decision_are_labelled_at_a_carried_over_threshold(done: Path) -> None:
    parts = results(done)["parts"]
    how = parts["bias/toy11-raw"]["labels"]
    assert how["toy"] == "own decision"
    assert how["toy_logit"].endswith("selected on toy12 for tau:AP@100")
    raw, condensed = (parts[f"bias/toy11-{holes}"]["report"] for holes in ("raw", "condensed"))
    assert sorted(raw["self_judging"]) == ["toy", "toy-noisy", "toy_logit"]
    assert raw["judged"]["bm25"][0] < 1
    assert raw["human"] != condensed["human"]
    assert set(parts["bias/toy12-judged-pool"]["report"]["groups"]) == {"A", "B"}


def test_a_judged_pool_has_no_holes(folder: Path) -> None:
    judged = JudgedCollection.from_folder("toy12", folder / "toy12")
    pool = judged_pool(judged.collection, [judged.judges["toy"]])
    np.testing.assert_array_equal(condense(pool).runs, pool.runs)
    first = pool.runs[0, 0]
    scores = judged.judges["toy"].scores[first[first >= 0]]
    assert (np.diff(scores) <= 0).all()
    assert (first >= 0).sum() == 40
    with pytest.raises(UserError, match="at least 3 runs"):
        bias_report(
            pool,
            [
                direct(
                    align_scores(
                        judged.collection,
                        toy_scores(folder.parent / folder.name),
                        "toy",
                        scale="log-odds",
                        on_missing="skip",
                    )
                )
            ],
            Families({}),
        )


def test_a_second_run_computes_only_what_has_changed(folder: Path, done: Path) -> None:
    before = {name: (done / name).read_bytes() for name in ("results.json", "tables.md", "tables.tex")}
    assert run_study(read(folder), done, plots=False).computed == ()
    assert {name: (done / name).read_bytes() for name in before} == before
    (done / "parts" / "folds" / "toy11.json").write_text("{ broken")
    assert run_study(read(folder), done, plots=False).computed == ("folds/toy11",)
    assert {name: (done / name).read_bytes() for name in before} == before
    qrels = folder / "toy12" / "qrels.txt"
    text = qrels.read_text()
    try:
        qrels.write_text(text + "t00 0 extra 0\n")
        changed = [part.name for part in plan(read(folder)) if "toy12" in part.collections]
        with pytest.raises(UserError, match="missing"):  # the judges do not know the new pair
            run_study(read(folder), done, plots=False)
        assert set(changed) > {"agreement/toy12", "transfer/toy11-to-toy12-kappa"}
        assert "agreement/toy11" not in changed
    finally:
        qrels.write_text(text)


def test_ctrl_c_keeps_finished_parts_and_a_second_run_goes_on(folder: Path, done: Path, tmp_path: Path) -> None:
    def stop(finished: int, total: int, name: str, computed: bool) -> None:
        if finished == 3:
            raise KeyboardInterrupt

    with pytest.raises(PartialResult, match="3 of 13 parts are in"):
        run_study(read(folder), tmp_path, on_part=stop, plots=False)
    assert len(results(tmp_path)["missing"]) == 10
    assert "Agreement with humans on toy12" in (tmp_path / "tables.md").read_text()
    assert len(run_study(read(folder), tmp_path, plots=False).computed) == 10
    for name in ("results.json", "tables.md", "tables.tex"):
        assert (tmp_path / name).read_bytes() == (done / name).read_bytes()


def test_with_three_collections_each_is_left_out_once(folder: Path, tmp_path: Path) -> None:
    third = '[[collections]]\nname = "again"\nfolder = "toy11"\n\n[scales]'
    text = STUDY[: STUDY.index("[bias]")].replace("[scales]", third).replace("folds = 3", "folds = 0")
    (tmp_path / "study.toml").write_text(text.replace("bootstrap = 40", "bootstrap = 0"))
    result = run_study(StudyConfig.read(tmp_path / "study.toml", (folder,)), tmp_path / "out", plots=False)
    left = result.parts["left-out/kappa"]
    assert [(row["judge"], row["to"]) for row in left["rows"]][:3] == [
        (left["rows"][0]["judge"], name) for name in ("toy11", "toy12", "again")
    ]
    assert len(left["rows"]) == 9
    tables = (tmp_path / "out" / "tables.md").read_text()
    assert "κ with thresholds selected on all other collections" in tables
    assert "In-sample: both hold the same judgements." in tables  # toy11 and again


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("seed = 1", "sed = 1"), r"study.toml:2: unknown key 'sed'; known are"),
        (('name = "toy12"', 'nam = "toy12"'), r"study.toml:12: unknown key 'nam' in \[collections\]"),
        (("folds = 3", "fold = 3"), r"study.toml:23: unknown key 'fold' in \[transfer\]"),
        (("folds = 3", "folds = -3"), r"study.toml:23: folds: expected a whole number, not negative"),
        (('"tau:AP@100"]\ngrids', '"tau:MAP"]\ngrids'), r"study.toml:21: unknown metric 'MAP'"),
        (('folder = "toy12"', 'folder = "toy13"'), r"study.toml:13: no folder toy13, looked for in .*--data"),
        (('name = "toy12"', 'name = "toy11"'), r"study.toml:12: collection 'toy11' is given twice"),
        (('toy_logit = "logit"', 'toy_logit = "odds"'), r"study.toml:18: toy_logit: expected one of probability"),
        (('holes = ["raw", "condensed"]', 'holes = ["rare"]'), r"study.toml:26: holes: expected a list"),
        (("judged_pool = true", "judged_pool = 1"), r"study.toml:27: judged_pool: expected true or false"),
        (('B = ["toy_logit"]', 'B = ["toy"]'), r"study.toml:30: 'toy' is in A and in B"),
    ],
)
def test_mistakes_are_refused_with_their_line(
    folder: Path, tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    text = STUDY.replace(*change)
    assert text != STUDY
    (tmp_path / "study.toml").write_text(text)
    with pytest.raises(UserError, match=message):
        StudyConfig.read(tmp_path / "study.toml", (folder,))


def test_the_command_runs_a_study_beside_its_file(folder: Path, done: Path, cli: Callable) -> None:
    outcome = cli("study", folder / "study.toml", "-o", done, "--json", "--no-plots")
    assert outcome.code == 0
    printed = json.loads(outcome.out)
    assert printed["computed"]["folds/toy11"] is False
    assert "[13/13] bias/toy12-judged-pool: unchanged" in outcome.err
    outcome = cli("study", folder / "study.toml", "-o", done, "--data", folder / "toy11", "--quiet")
    assert outcome.code == 2
    assert "no folder toy11" in outcome.err


def test_the_example_names_everything_that_the_published_data_has(deep_learning: Path) -> None:
    example = Path(__file__).parents[1] / "docs" / "study.toml"
    config = StudyConfig.read(example, (deep_learning.parent,))
    judges = {path.name.split(".")[0] for path in (deep_learning / "dl22" / "judges").iterdir()}
    listed = {name for names in config.bias.families.members.values() for name in names}
    assert listed == judges - {"umbrela-gpt-4o"}
    assert [part.name for part in plan(config)][-1] == "bias/dl23-judged-pool"


def test_the_example_runs_on_toy_collections(folder: Path, tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "docs" / "study.toml").read_text()
    for year, toy in (("dl22", "toy11"), ("dl23", "toy12")):
        text = text.replace(f'folder = "trec-dl/{year}"', f'folder = "{toy}"')
    text = (
        text.replace("bootstrap = 1000", "bootstrap = 20")
        .replace('"rank1-7b"', '"toy"')
        .replace('"monot5-base"', '"toy-noisy"')
    )
    (tmp_path / "study.toml").write_text(text)
    result = run_study(StudyConfig.read(tmp_path / "study.toml", (folder,)), tmp_path / "out", plots=False)
    assert "bias/dl22-judged-pool" in result.parts
    assert (tmp_path / "out" / "tables.tex").exists()

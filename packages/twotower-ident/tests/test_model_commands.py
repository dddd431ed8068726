"""simulate, train, rank, profile and reproduce, as a user runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from ir_shared.trec import read_run
from twotower_ident.generators import gaussian_letor
from twotower_ident.letor import RankingData


def write_letor(path: Path, data: RankingData) -> Path:
    lines = []
    for qid, label, row in zip(np.repeat(data.qids, data.sizes), data.labels, data.features, strict=True):
        values = " ".join(f"{i}:{value:.6g}" for i, value in enumerate(row, start=1))
        lines.append(f"{label:g} qid:q{qid} {values}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def letor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fold")
    for seed, name in enumerate(("train", "vali", "test")):
        write_letor(folder / f"{name}.txt", gaussian_letor(n_queries=12, n_docs=5, n_features=4, seed=seed))
    return folder


@pytest.fixture
def simulated(letor: Path, tmp_path: Path, cli) -> Path:
    done = cli(
        "simulate", "--letor", letor / "train.txt", "--out", tmp_path / "sim", "--sessions", 3000,
        "--temperature", 0.5, "--quiet",
    )  # fmt: skip
    assert done.code == 0, done.err
    return tmp_path / "sim"


def test_a_log_is_simulated_trained_on_and_ranked_with(simulated: Path, letor: Path, tmp_path: Path, cli) -> None:
    log, model = simulated / "log.parquet", tmp_path / "model"
    assert pl.read_parquet(log).columns == ["session", "qid", "docid", "position", "click"]
    truth = json.loads((simulated / "truth.json").read_text())["position_bias"]
    features = simulated / "features.parquet"
    trained = cli("train", log, "--features", features, "--out", model, "--json")
    assert trained.code == 0, trained.err
    curve = json.loads(trained.out)["training"]["position_bias"]
    assert np.abs(np.array(curve) - truth).max() < 0.35
    for source in (letor / "train.txt", features):
        assert cli("rank", "--model", model, "--features", source, "--out", tmp_path / "out.run").code == 0
    run = read_run(tmp_path / "out.run")
    pairs = pl.read_parquet(simulated / "pairs.parquet")
    known = [run[qid][docid] for qid, docid in pairs.select("qid", "docid").iter_rows()]
    assert np.corrcoef(known, pairs["label"])[0, 1] > 0.7


def test_aggregated_logs_train_embedding_towers_with_weights(letor: Path, tmp_path: Path, cli) -> None:
    made = cli(
        "simulate", "--letor", letor / "train.txt", "--out", tmp_path, "--sessions", 4000, "--policy", "linear",
        "--labels", "linear", "--sampler", "pivot-swap", "--temperature", 0.8, "--aggregated", "--json",
    )  # fmt: skip
    assert json.loads(made.out)["rows"] == pl.read_parquet(tmp_path / "log.parquet").height
    done = cli("train", tmp_path / "log.parquet", "--tower", "embedding", "--weighting", "clip", "--clip", 5, "--out",
               tmp_path / "m")  # fmt: skip
    assert done.code == 0, done.err
    assert "position bias" in done.out
    ranked = cli("rank", "--model", tmp_path / "m", "--features", letor / "test.txt", "--out", tmp_path / "r")
    assert ranked.code == 2
    assert "embedding tower cannot score new pairs" in ranked.err


def test_a_log_without_swaps_trains_no_embedding_unless_asked(letor: Path, tmp_path: Path, cli) -> None:
    cli("simulate", "--letor", letor / "train.txt", "--out", tmp_path, "--sessions", 500)
    command = ["train", tmp_path / "log.parquet", "--tower", "embedding", "--out", tmp_path / "m"]
    refused = cli(*command)
    assert refused.code == 2
    assert "splits its positions into 5 components" in refused.err
    allowed = cli(*command, "--allow-unidentified")
    assert allowed.code == 0
    assert "not linked to the reference" in allowed.out


def test_deep_towers_train_profile_and_go_on(simulated: Path, tmp_path: Path, cli) -> None:
    log, model, features = simulated / "log.parquet", tmp_path / "deep", simulated / "features.parquet"
    command = ["train", log, "--tower", "deep", "--features", features, "--out", model, "--epochs", 2, "--steps", 20,
               "--layers", 1, "--width", 4, "--bias-dropout", 0.1]  # fmt: skip
    assert cli(*command).code == 0
    first = (model / "parameters.npz").read_bytes()
    assert (model / "checkpoint.safetensors").exists()
    assert cli(*command).code == 0
    assert (model / "parameters.npz").read_bytes() == first
    profiled = cli(
        "profile", log, "--model", model, "--features", features, "--out", tmp_path / "p", "--positions", "2",
        "--shifts=-2,2", "--epochs", 1, "--steps", 20, "--json",
    )  # fmt: skip
    assert profiled.code == 0, profiled.err
    refused = cli(
        "profile", log, "--model", model, "--features", features, "--out", tmp_path / "p", "--positions", "99"
    )
    assert refused.code == 2
    assert "--positions '99': expected positions from 1 to 5" in refused.err
    found = json.loads(profiled.out)["positions"]
    assert [row["position"] for row in found] == [2]
    assert found[0]["shifts"] == [-2, 2]


def test_a_log_with_many_positions_is_merged_once_and_the_model_remembers(tmp_path: Path, cli) -> None:
    rng, n = np.random.default_rng(3), 4000
    rows = pl.DataFrame({"qid": rng.integers(0, 20, n), "docid": rng.integers(0, 9, n)}).with_columns(
        position=pl.Series(np.where(rng.random(n) < 0.5, 1, rng.integers(1, 1300, n))), click=rng.integers(0, 2, n)
    )
    log, features, model = tmp_path / "log.parquet", tmp_path / "features.parquet", tmp_path / "model"
    rows.write_parquet(log)
    table = rows.select("qid", "docid").unique().sort("qid", "docid")
    table.with_columns(f0=pl.int_range(pl.len()), f1=pl.lit(2.0)).write_parquet(features)
    refused = cli("train", log, "--features", features, "--out", model)
    assert refused.code == 2
    assert "as --merge 1,2,3,4,5,6,11,21,51 does" in refused.err
    trained = cli("train", log, "--features", features, "--merge", "1,2,1000", "--out", model)
    assert trained.code == 0, trained.err
    assert "features f1 are constant" in trained.err
    assert [line.split()[0] for line in trained.out.splitlines()[-3:]] == ["1", "2-999", "1000+"]
    checked = cli("check-model", log, "--model", model, "--features", features, "--json")
    assert checked.code == 0, checked.err
    profiled = cli("profile", log, "--model", model, "--features", features, "--out", tmp_path / "p")
    assert "profile retrains deep two-tower models" in profiled.err
    assert cli("weights", log, "--merge", "1,2,1000", "--out", tmp_path / "w").code == 0
    weighted = pl.read_parquet(tmp_path / "w" / "weights.parquet")
    assert weighted["position"].to_list() == rows["position"].to_list()
    assert weighted["weight"].is_finite().all()


def test_a_training_without_a_finished_epoch_says_so(simulated: Path, tmp_path: Path, cli) -> None:
    done = cli(
        "train", simulated / "log.parquet", "--features", simulated / "features.parquet", "--out", tmp_path / "m",
        "--tower", "deep", "--learning-rate", 1e38, "--epochs", 1, "--steps", 20,
    )  # fmt: skip
    assert done.code == 3
    assert "no epoch was finished, and the model as it began is saved" in done.err


def test_an_experiment_is_reproduced_and_gone_on_with(letor: Path, tmp_path: Path, cli) -> None:
    command = ["reproduce", "2-model-fit-linear", "--letor", letor, "--out", tmp_path, "--population", "--seeds", 2]
    done = cli(*command, "--json")
    assert done.code == 0, done.err
    rows = json.loads(done.out)["rows"]
    assert len(rows) == 12
    assert rows[0]["official_theta_25"] == -3.26
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 24
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines[:20]) + "\n")
    again = cli(*command)
    assert again.code == 0
    assert (tmp_path / "metrics.jsonl").read_text().splitlines() == lines
    assert "theta_25" in again.out
    assert (tmp_path / "linear-unweighted.svg").exists()
    other = cli(*command, "--compat", "official")
    assert other.code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["reproduce", "4-none", "--letor", ".", "--out", "o"], "there are 1-example"),
        (["rank", "--model", "absent", "--features", "x", "--out", "o"], "no such file"),
        (["simulate", "--letor", "absent", "--out", "o"], "cannot be read"),
        (["simulate", "--letor", "LETOR", "--out", "OUT", "--strength", 3], "strength 3"),
        (["train", "LOG", "--out", "OUT"], "needs features"),
        (["train", "LOG", "--out", "OUT", "--tower", "deep", "--solver", "exact"], "use --solver adamw"),
        (["train", "LOG", "--out", "OUT", "--tower", "embedding", "--weighting", "clip"], "clip"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    arguments: list, message: str, simulated: Path, letor: Path, tmp_path: Path, cli
) -> None:
    named = {"LOG": simulated / "log.parquet", "LETOR": letor / "train.txt", "OUT": tmp_path / "o"}
    done = cli(*[named.get(argument, argument) for argument in arguments])
    assert done.code == 2
    assert message in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_a_table_that_lacks_the_model_s_columns_or_has_documents_twice_is_refused(
    simulated: Path, tmp_path: Path, cli
) -> None:
    features = pl.read_parquet(simulated / "features.parquet")
    cli("train", simulated / "log.parquet", "--features", simulated / "features.parquet", "--out", tmp_path / "m")
    for table, message in (
        (features.drop("f2"), "lacks the columns f2"),
        (pl.concat([features, features[:1]]), "twice"),
        (features.with_columns(f1=pl.lit(float("nan"))), "no number"),
    ):
        table.write_parquet(tmp_path / "odd.parquet")
        done = cli("rank", "--model", tmp_path / "m", "--features", tmp_path / "odd.parquet", "--out", tmp_path / "r")
        assert done.code == 2
        assert message in done.err


def test_simulating_training_exactly_and_ranking_need_no_jax() -> None:
    names = ("simulate", "exact_fit", "towers", "training", "experiments", "commands.train", "commands.rank", "profile")
    code = (
        f"import sys, importlib; [importlib.import_module('twotower_ident.' + n) for n in {names}]; "
        "print({'jax', 'flax', 'torch', 'matplotlib', 'sklearn'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"

"""``train --letor`` is ``simulate`` and ``train`` in one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from twotower_ident.generators import gaussian_letor


@pytest.fixture(scope="module")
def letor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = gaussian_letor(n_queries=12, n_docs=5, n_features=4, seed=0)
    path = tmp_path_factory.mktemp("letor") / "train.txt"
    rows = zip(data.query, data.labels, data.features, strict=True)
    lines = (
        f"{label:g} qid:{qid} " + " ".join(f"{i}:{value:.6g}" for i, value in enumerate(row, start=1))
        for qid, label, row in rows
    )
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("tower", ["linear", "embedding"])
def test_training_on_letor_documents_is_training_on_the_log_that_simulate_writes(
    letor: Path, tmp_path: Path, cli, tower: str
) -> None:
    options = ["--letor", letor, "--temperature", 0.5, "--strength", 0.5, "--sessions", 3000, "--seed", 3]
    assert cli("simulate", *options, "--aggregated", "--out", tmp_path / "sim").code == 0
    features = [] if tower == "embedding" else ["--features", tmp_path / "sim" / "features.parquet"]
    separate = cli(
        "train", tmp_path / "sim" / "log.parquet", *features, "--tower", tower, "--out", tmp_path / "a", "--json"
    )
    together = cli("train", *options, "--tower", tower, "--out", tmp_path / "b", "--json")
    assert together.code == 0, together.err
    curves = [json.loads(done.out)["training"]["position_bias"] for done in (separate, together)]
    np.testing.assert_allclose(curves[1], curves[0], atol=1e-6)
    ranked = cli("rank", "--model", tmp_path / "b", "--features", letor, "--out", tmp_path / "run")
    assert ranked.code == (2 if tower == "embedding" else 0)


def test_weights_multiply_those_of_the_sessions(letor: Path, tmp_path: Path, cli) -> None:
    options = ["--letor", letor, "--temperature", 0.3, "--sessions", 3000, "--json"]
    curves = [
        json.loads(cli("train", *options, "--weighting", weighting, "--out", tmp_path / weighting).out)["training"]
        for weighting in ("none", "raw")
    ]
    assert curves[0]["position_bias"] != curves[1]["position_bias"]


def test_a_log_and_documents_exclude_each_other(letor: Path, tmp_path: Path, cli) -> None:
    for arguments in ([], [letor, "--letor", letor]):
        done = cli("train", *arguments, "--out", tmp_path)
        assert done.code == 2
        assert "either a click log" in done.err


def test_an_embedding_tower_is_refused_documents_in_a_fixed_order(letor: Path, tmp_path: Path, cli) -> None:
    done = cli("train", "--letor", letor, "--tower", "embedding", "--out", tmp_path)
    assert done.code == 2
    assert "5 components" in done.err

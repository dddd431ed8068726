"""Every command, its exit codes, and what it writes."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ir_shared.trec import read_run

# Most of a short command's time is spent compiling; the arithmetic is the same with less of it.
FAST = {**os.environ, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
COMMANDS = ["simulate", "convert", "fit", "evaluate", "predict", "propensities", "diagnose", "compare"]


def figures(outcome):
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


@pytest.fixture(scope="module")
def fitted(simulated, tmp_path_factory):
    """A PBM fitted to the simulated log by EM, with its output."""
    from clax.cli import app
    from ir_shared.console import run_app

    folder = tmp_path_factory.mktemp("fitted")
    log = simulated / "sessions.parquet"
    with pytest.raises(SystemExit) as stop:
        run_app(
            app, ["fit", str(log), "--model", "pbm", "--method", "em", "--epochs", "60", "-o", str(folder), "--quiet"]
        )
    assert not stop.value.code
    return folder


def test_from_simulation_to_evaluation_as_a_shell_would(cli, tmp_path: Path) -> None:
    size = ["-n", 4000, "--queries", 5, "--documents", 4, "--max-positions", 4]
    log = tmp_path / "log"
    assert cli("simulate", "--model", "pbm", *size, "-o", log).code == 0
    fit = ["fit", log / "sessions.parquet", "--model", "pbm", "--epochs", 6, "--lr", 0.1, "-o", tmp_path / "pbm"]
    assert cli(*fit, "--batch-size", 256).code == 0
    command = [sys.executable, "-c", "from clax.cli import main; main()", "evaluate", "pbm", "log", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=FAST)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["window"] == [3600, 4000]
    truth = figures(cli("evaluate", log / "truth", log / "sessions.parquet", "--part", "test", "--json"))
    ours, best = (x["evaluation"]["log_likelihood"] for x in (found, truth))
    assert abs(ours - best) < 0.01
    assert found["provenance"]["package"] == "clax"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(cli, command):
    outcome = cli(command, "--help")
    assert outcome.code == 0
    assert "Usage" in outcome.out


def test_simulation_writes_the_log_its_truth_and_annotations(cli, simulated, tmp_path):
    assert sorted(p.name for p in simulated.iterdir()) == [
        "annotations.parquet",
        "sessions.parquet",
        "truth",
        "truth.json",
    ]
    truth = json.loads((simulated / "truth.json").read_text())
    np.testing.assert_allclose(truth["parameters"]["examination"][1:], np.arange(1, 6) ** -0.8, atol=1e-6)
    size = ["-n", 300, "--queries", 3, "--documents", 5, "--max-positions", 4]
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert cli("simulate", "--model", "ubm", *size, "-o", tmp_path / name, "--seed", seed).code == 0
    a, b, c = (pl.read_parquet(tmp_path / name / "sessions.parquet") for name in "abc")
    assert a.equals(b)
    assert not a.equals(c)


def test_fit_keeps_everything_a_result_needs(cli, simulated, tmp_path):
    folder = tmp_path / "m"
    log = simulated / "sessions.parquet"
    result = figures(cli("fit", log, "--model", "pbm", "--epochs", 2, "-o", folder, "--json", "--quiet", "--seed", 5))
    assert {p.name for p in folder.iterdir()} == {
        "params.safetensors",
        "model.json",
        "history.csv",
        "pairs.safetensors",
        "fit.json",
    }
    about = json.loads((folder / "model.json").read_text())
    assert about["model"]["class"] == "PBM"
    assert about["seed"] == result["provenance"]["seed"] == 5
    assert about["versions"]["jax"]
    assert about["data"]["num_pairs"] == 160
    with (folder / "history.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["epoch"] for line in lines] == ["1", "2"]
    assert float(lines[1]["valid_loss"]) == result["history"][1]["valid_loss"]


def test_progress_is_on_stderr_and_quiet_is_quiet(cli, simulated, tmp_path):
    arguments = ["fit", simulated / "sessions.parquet", "--model", "gctr", "--epochs", 1]
    loud = cli(*arguments, "-o", tmp_path / "a")
    assert "epoch 1: loss" in loud.err
    assert "epoch 1: loss" not in loud.out
    assert cli(*arguments, "-o", tmp_path / "b", "--quiet").err == ""


def test_a_configuration_file_is_read_and_the_command_line_wins(cli, simulated, tmp_path):
    toml = tmp_path / "fit.toml"
    log = (simulated / "sessions.parquet").as_posix()
    toml.write_text(f'model = "dctr"\nseed = 4\n[data]\ntrain = ["{log}"]\n[train]\nepochs = 1\nlr = 0.02\n')
    assert cli("fit", "--config", toml, "--lr", 0.5, "-o", tmp_path / "m", "--quiet").code == 0
    config = json.loads((tmp_path / "m" / "model.json").read_text())["config"]
    assert (config["model"], config["seed"], config["train"]["lr"], config["train"]["epochs"]) == ("dctr", 4, 0.5, 1)
    toml.write_text("[train]\nepoch = 1\n")
    outcome = cli("fit", "--config", toml, "-o", tmp_path / "n")
    assert outcome.code == 2
    assert "unknown key 'train.epoch'" in outcome.err


def test_evaluate_judges_the_test_part_of_its_own_log_and_all_of_another(cli, simulated, fitted, tmp_path):
    log = simulated / "sessions.parquet"
    out = tmp_path / "metrics.json"
    result = figures(cli("evaluate", fitted, log, "--json", "-o", out))
    assert result["window"] == [5400, 6000]
    assert json.loads(out.read_text()) == result
    assert figures(cli("evaluate", fitted, log, "--json", "--part", "valid"))["window"] == [4800, 5400]
    size = ["-n", 300, "--queries", 20, "--documents", 8, "--max-positions", 5]
    assert cli("simulate", "--model", "pbm", *size, "-o", tmp_path / "other", "--seed", 3).code == 0
    assert figures(cli("evaluate", fitted, tmp_path / "other/sessions.parquet", "--json"))["window"] == [0, 300]


def test_evaluate_ranks_annotated_lists_that_are_longer_than_what_was_shown(cli, simulated, fitted):
    log, annotations = simulated / "sessions.parquet", simulated / "annotations.parquet"
    ranking = figures(cli("evaluate", fitted, log, "--annotations", annotations, "--json"))["ranking"]
    assert ranking["queries"] == 20
    assert ranking["metrics"]["ndcg@10"]["mean"] > 0.9
    table = cli("evaluate", fitted, log, "--annotations", annotations)
    assert "ndcg@10" in table.out


def test_predict_writes_relevance_with_what_it_rests_on(cli, simulated, fitted, tmp_path):
    assert cli("predict", fitted, "-o", tmp_path / "r.parquet").code == 0
    frame = pl.read_parquet(tmp_path / "r.parquet")
    assert frame["id"].to_list() == list(range(1, 161))
    assert frame["impressions"].sum() == 4800 * 5
    true = pl.read_parquet(simulated / "annotations.parquet").explode("query_doc_ids", "labels")
    often = frame["impressions"].to_numpy() > 300
    both = np.exp(frame["relevance"].to_numpy()[often]), true["labels"].to_numpy()[often]
    assert np.corrcoef(*both)[0, 1] > 0.9
    assert cli("predict", fitted, "-o", tmp_path / "r.csv", "--quiet").err == ""
    assert pl.read_csv(tmp_path / "r.csv").shape == frame.shape
    log = simulated / "sessions.parquet"
    assert cli("predict", fitted, "--data", log, "-o", tmp_path / "l.parquet").code == 0
    lists = pl.read_parquet(tmp_path / "l.parquet")
    assert lists.columns == ["session", "query_id", "id", "position", "relevance"]
    assert len(lists) == 30_000
    assert lists["session"].n_unique() == 6000


def test_predict_refuses_what_it_cannot_write(cli, fitted, tmp_path):
    outcome = cli("predict", fitted, "-o", tmp_path / "r.xlsx")
    assert (outcome.code, "name it .parquet" in outcome.err) == (2, True)
    outcome = cli("predict", fitted, "-o", tmp_path / "r.run")
    assert (outcome.code, "give --vocabulary" in outcome.err) == (2, True)


def test_propensities_are_relative_with_errors_that_hold_the_truth(cli, simulated, fitted, tmp_path):
    log = simulated / "sessions.parquet"
    result = figures(cli("propensities", fitted, log, "--json", "-o", tmp_path / "p.csv"))
    rows = result["propensities"]
    truth = np.arange(1, 6) ** -0.8
    assert rows[0]["ratio"] == 1
    for row, true in list(zip(rows, truth, strict=True))[1:]:
        assert abs(row["ratio"] - true) < 4 * row["standard_error"]
    with (tmp_path / "p.csv").open() as file:
        assert [float(r["ratio"]) for r in csv.DictReader(file)] == [row["ratio"] for row in rows]
    assert "ratio" in cli("propensities", fitted, log).out
    outcome = cli("propensities", fitted, log, "-o", tmp_path / "p.txt")
    assert (outcome.code, "name it .json or .csv" in outcome.err) == (2, True)


def test_diagnose_exits_4_when_position_and_relevance_cannot_be_told_apart(cli, simulated, tmp_path):
    good = cli("diagnose", simulated / "sessions.parquet", "--json")
    assert figures(good)["diagnosis"]["identifiable"] is True
    size = ["-n", 500, "--queries", 3, "--documents", 5, "--max-positions", 5, "--confounding", 1]
    assert cli("simulate", "--model", "pbm", *size, "-o", tmp_path / "bad").code == 0
    bad = cli("diagnose", tmp_path / "bad/sessions.parquet")
    assert bad.code == 4
    assert "cannot be told apart" in bad.err


def test_compare_puts_the_true_model_first(cli, simulated, tmp_path):
    arguments = ["--models", "gctr,dctr,pbm", "--method", "em", "--epochs", 30, "--pseudo-counts", 1, "--quiet"]
    outcome = cli("compare", simulated / "sessions.parquet", *arguments, "-o", tmp_path)
    assert outcome.code == 0, outcome.err
    assert [line.split()[0] for line in outcome.out.splitlines()[1:]] == ["pbm", "dctr", "gctr"]
    assert (tmp_path / "pbm/params.safetensors").exists()
    assert len(json.loads((tmp_path / "compare.json").read_text())["results"]) == 3


def test_convert_and_fit_and_rank_by_name(cli, tmp_path):
    lines = []
    for session in range(400):
        documents = ["a", "b", "c"] if session % 2 else ["c", "a", "b"]
        for position, document in enumerate(documents, 1):
            lines.append(f"{session},q{session % 3},{document},{position},{int(document == 'a' and session % 5 > 0)}")
    log = tmp_path / "log.csv"
    log.write_text("s,query,document,position,click\n" + "\n".join(lines) + "\n")
    result = figures(cli("convert", "long", log, "--columns", "session=s", "-o", tmp_path / "d", "--json", "--quiet"))
    assert (result["num_pairs"], result["counts"]["sessions"]) == (10, 400)
    data, model = tmp_path / "d/sessions.parquet", tmp_path / "m"
    assert cli("fit", data, "--model", "dctr", "--method", "em", "-o", model, "--quiet").code == 0
    run = tmp_path / "dctr.run"
    assert cli("predict", model, "--vocabulary", tmp_path / "d/vocabulary.parquet", "-o", run).code == 0
    ranked = read_run(run)
    assert sorted(ranked) == ["q0", "q1", "q2"]
    assert all(max(scores, key=scores.get) == "a" for scores in ranked.values())


def test_a_log_with_another_vocabulary_is_refused(cli, tmp_path):
    for name, document in (("one", "a"), ("two", "b")):
        log = tmp_path / f"{name}.csv"
        rows = "".join(f"{s},q,{document},1,{s % 2}\n" for s in range(40))
        log.write_text("session,query,document,position,click\n" + rows)
        assert cli("convert", "long", log, "-o", tmp_path / name).code == 0
    assert cli("fit", tmp_path / "one", "--model", "dctr", "--epochs", 1, "-o", tmp_path / "m", "--quiet").code == 0
    outcome = cli("evaluate", tmp_path / "m", tmp_path / "two")
    assert outcome.code == 2
    assert "made with another vocabulary" in outcome.err
    assert cli("evaluate", tmp_path / "m", tmp_path / "one", "--quiet").code == 0
    (tmp_path / "labels.txt").write_text("1\t0\t5\t1\n")
    (tmp_path / "log.txt").write_text("1\t0\tQ\t1\t0\t5\n")
    assert cli("convert", "yandex", tmp_path / "log.txt", "-o", tmp_path / "y").code == 0
    vocabulary = ["--vocabulary", tmp_path / "y/vocabulary.parquet"]
    assert cli("convert", "yandex-judgements", tmp_path / "labels.txt", *vocabulary, "-o", tmp_path / "y").code == 0
    outcome = cli("evaluate", tmp_path / "m", tmp_path / "one", "--annotations", tmp_path / "y/annotations.parquet")
    assert outcome.code == 2
    assert "made with another vocabulary" in outcome.err
    outcome = cli(
        "predict", tmp_path / "m", "--vocabulary", tmp_path / "two/vocabulary.parquet", "-o", tmp_path / "r.run"
    )
    assert (outcome.code, "is not the vocabulary of the log" in outcome.err) == (2, True)
    same = cli(
        "convert",
        "long",
        tmp_path / "two.csv",
        "--vocabulary",
        tmp_path / "one/vocabulary.parquet",
        "-o",
        tmp_path / "three",
    )
    assert same.code == 0
    found = figures(cli("evaluate", tmp_path / "m", tmp_path / "three", "--json"))
    assert found["evaluation"]["unseen"] == 40


def test_yandex_text_and_judgements(cli, tmp_path):
    text = "".join(f"{s}\t0\tQ\t{s % 2}\t0\t5\t6\t7\n{s}\t1\tC\t{5 + s % 2}\n" for s in range(50))
    (tmp_path / "log.txt").write_text(text + "49\t2\tC\t99\n")
    (tmp_path / "labels.txt").write_text("0\t0\t5\t1\n0\t0\t6\t0\n1\t0\t6\t1\n1\t0\t7\t0\n")
    converted = cli("convert", "yandex", tmp_path / "log.txt", "-o", tmp_path / "d")
    assert converted.code == 0, converted.err
    assert "1 clicks on documents that their query did not show" in converted.err
    vocabulary = tmp_path / "d/vocabulary.parquet"
    outcome = cli("convert", "yandex-judgements", tmp_path / "labels.txt", "-o", tmp_path / "d")
    assert (outcome.code, "give --vocabulary" in outcome.err) == (2, True)
    arguments = ["convert", "yandex-judgements", tmp_path / "labels.txt", "--vocabulary", vocabulary]
    assert cli(*arguments, "-o", tmp_path / "d").code == 0
    fit = ["fit", tmp_path / "d/sessions.parquet", "--model", "dctr", "--method", "em", "-o", tmp_path / "m", "--quiet"]
    assert cli(*fit).code == 0
    found = figures(
        cli(
            "evaluate",
            tmp_path / "m",
            tmp_path / "d/sessions.parquet",
            "--annotations",
            tmp_path / "d/annotations.parquet",
            "--json",
        )
    )
    assert found["ranking"]["metrics"]["mrr"]["mean"] == 1.0


def test_repairs_that_messages_recommend_are_flags_of_fit_and_diagnose(cli, tmp_path):
    """Other people's files: ids from 0, and counts of clicks; two documents of each query, the first one clicked."""
    ids = [[2 * (s % 3), 2 * (s % 3) + 1] for s in range(90)]
    log = tmp_path / "log.parquet"
    pq.write_table(pa.table({"query_doc_ids": ids, "clicks": [[2, 0]] * 90}), log)
    fit = ["fit", log, "--model", "dctr", "--method", "em", "--quiet", "-o", tmp_path / "m"]
    flags: list[str] = []
    for message, flag in (("--max-positions", "2"), ("--binarise-clicks", ""), ("--zero-based", "")):
        for command in (fit, ["diagnose", log]):
            refused = cli(*command, *flags)
            assert (refused.code, message in refused.err) == (2, True), refused.err
        flags += [message, flag] if flag else [message]
    assert cli("diagnose", log, *flags, "--quiet").code == 4  # every document was shown at one position only
    assert cli(*fit, *flags).code == 0
    assert cli("evaluate", tmp_path / "m", log, "--quiet").code == 0

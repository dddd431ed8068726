"""The command line: files in, files and exit codes out, and a light start."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
import pytest
from twotower_ident.click_log import ClickLog
from twotower_ident.exact_fit import fit_exact
from twotower_ident.features import table_features
from twotower_ident.towers import FittedModel, Inputs

Run = Callable[..., Any]


@pytest.fixture
def log(impressions: pl.DataFrame, tmp_path: Path) -> Path:
    impressions.write_parquet(tmp_path / "log.parquet")
    return tmp_path / "log.parquet"


@pytest.mark.parametrize("argv", [["--help"], ["audit", "--help"], ["position-bias", "--help"]])
def test_help_loads_nothing_heavy(argv: list[str]) -> None:
    program = (
        "import sys\nfrom twotower_ident.cli import app\n"
        f"app({argv!r}, standalone_mode=False)\n"
        "heavy = {'jax', 'flax', 'torch', 'matplotlib', 'sklearn', 'scipy', 'polars', 'pyspark', 'duckdb'}\n"
        "print('LOADED', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "LOADED []" in done.stdout


def test_every_public_name_is_there_and_none_is_hidden_by_a_module() -> None:
    import twotower_ident

    for name in twotower_ident.__all__:
        assert not isinstance(getattr(twotower_ident, name), ModuleType), name
    with pytest.raises(AttributeError, match="no attribute 'audits'"):
        _ = twotower_ident.audits


def test_auditing_loads_no_jax(log: Path) -> None:
    program = (
        "import sys\nfrom twotower_ident import ClickLog, audit, conditional_position_bias\n"
        f"log = ClickLog.scan({str(log)!r})\n"
        "audit(log), conditional_position_bias(log)\n"
        "print('LOADED', sorted({'jax', 'flax', 'torch', 'matplotlib', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "LOADED []" in done.stdout


def test_audit_prints_a_verdict_and_writes_its_folder(cli: Run, log: Path, tmp_path: Path) -> None:
    out = tmp_path / "audit"
    done = cli("audit", log, "--out", out)
    assert done.code == 0
    assert done.out.startswith("verdict: identified")
    assert json.loads((out / "audit.json").read_text())["provenance"]["inputs"].keys() == {"log.parquet"}
    shown = json.loads(cli("audit", log, "--json").out)
    assert shown["audit"]["verdict"] == "identified"


def test_of_many_missing_links_the_terminal_names_five_and_the_report_all(cli: Run, tmp_path: Path) -> None:
    rows = [{"qid": 1, "docid": k, "position": k, "click": click} for k in range(1, 9) for click in (0, 1)]
    pl.DataFrame(rows).write_parquet(tmp_path / "still.parquet")
    done = cli("audit", tmp_path / "still.parquet", "--out", tmp_path / "out")
    assert done.out.count("do: Swap documents") == 5
    assert "do: Swaps left out here: 2; report.md" in done.out
    assert (tmp_path / "out" / "report.md").read_text().count("- Swap documents") == 7


def test_audit_fails_on_request_only(cli: Run, log: Path) -> None:
    assert cli("audit", log, "--max-se", 0.001).code == 0
    assert cli("audit", log, "--max-se", 0.001, "--fail-on", "weak").code == 4
    assert cli("audit", log, "--max-se", 0.001, "--fail-on", "split").code == 0


def test_audit_takes_features_from_the_log_or_a_table(
    cli: Run, log: Path, impressions: pl.DataFrame, tmp_path: Path
) -> None:
    table = impressions.select("qid", "docid", "f0", "f1", "f2").unique()
    table.write_parquet(tmp_path / "features.parquet")
    options = ("--classifier", "none", "--json")
    inside = json.loads(cli("audit", log, "--feature-column", "f*", *options).out)
    beside = json.loads(cli("audit", log, "--features", tmp_path / "features.parquet", *options).out)
    assert inside["audit"]["overlap"] == beside["audit"]["overlap"]
    assert inside["audit"]["overlap"]["linear"]["verdict"] == "identified"
    table.head(5).write_parquet(tmp_path / "features.parquet")
    done = cli("audit", log, "--features", tmp_path / "features.parquet")
    assert done.code == 2
    assert "355 pairs of the log have none" in done.err


@pytest.mark.parametrize("estimator", ["conditional", "pivot", "chain", "all-pairs", "two-tower"])
def test_position_bias_falls_with_rank_by_every_estimator(cli: Run, log: Path, tmp_path: Path, estimator: str) -> None:
    done = cli("position-bias", log, "--estimator", estimator, "--out", tmp_path / "out", "--json")
    assert done.code == 0
    rows = json.loads(done.out)["position_bias"]["positions"]
    bias = np.array([row["bias"] for row in rows])
    assert (np.diff(bias) < 0.15).all()
    assert bias[0] - bias[-1] > 0.5
    assert pl.read_csv(tmp_path / "out" / "position-bias.csv").height == 6


def test_weights_come_back_with_the_rows(cli: Run, log: Path, impressions: pl.DataFrame, tmp_path: Path) -> None:
    done = cli("weights", log, "--scheme", "clip", "--clip", 5, "--out", tmp_path / "out")
    assert done.code == 0
    assert done.out.startswith("clip: effective sample size")
    rows = pl.read_parquet(tmp_path / "out" / "weights.parquet")
    assert rows["docid"].to_list() == impressions["docid"].to_list()
    assert rows["weight"].max() == 5
    assert json.loads((tmp_path / "out" / "weights.json").read_text())["weights"]["scheme"] == "clip"
    assert cli("weights", log, "--propensities", "modelled").code == 2


def test_check_model_finds_the_omitted_features(cli: Run, log: Path, impressions: pl.DataFrame, tmp_path: Path) -> None:
    opened = ClickLog.scan(log)
    cells = opened.cells()
    for name, columns in (("poor", ["f2"]), ("right", ["f0", "f1", "f2"])):
        features = table_features(opened, impressions.select("qid", "docid", *columns).unique())
        fit = fit_exact(cells, "linear", features=features.values)
        FittedModel.from_exact(fit, Inputs(tuple(columns))).save(tmp_path / name)
    poor = json.loads(cli("check-model", log, "--model", tmp_path / "poor", "--json").out)["check"]
    done = cli("check-model", log, "--model", tmp_path / "right", "--out", tmp_path / "out")
    assert done.code == 0
    assert "weight test of a linear tower on these features" in done.err
    right = json.loads((tmp_path / "out" / "check.json").read_text())
    assert right["calibration"]["error"] < poor["calibration"]["error"] + 1e-3
    assert right["weight_test"]["p_value"] > 0.01
    assert (tmp_path / "out" / "residuals-relevance.csv").exists()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--column", "doc=docid"], "expected ROLE=NAME"),
        (["--column", "click=clicked"], "no column 'clicked'"),
        (["--merge", "1,x"], "expected positions separated by commas"),
        (["--feature-column", "z*"], "no column 'z*'"),
        (["--keys", "classifier"], "need features"),
    ],
)
def test_wrong_options_end_with_one_line_and_code_two(cli: Run, log: Path, argv: list[str], message: str) -> None:
    done = cli("audit", log, *argv)
    assert done.code == 2
    assert message in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_a_folder_that_holds_no_model_is_named(cli: Run, log: Path, tmp_path: Path) -> None:
    done = cli("check-model", log, "--model", tmp_path)
    assert done.code == 2
    assert "model.json: no such file" in done.err

"""Verdicts, repairs and reports of the audit on logs whose answer is known."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from ir_shared.console import DataWarning, UserError
from twotower_ident.cells import CellTable
from twotower_ident.click_log import ClickLog, LogColumns
from twotower_ident.features import PairFeatures, table_features
from twotower_ident.generators import factor_log, interval_features
from twotower_ident.log_audit import audit
from twotower_ident.report import advice


def test_explored_log_is_identified_and_every_ranking_can_be_learned(impressions: pl.DataFrame) -> None:
    report = audit(ClickLog.scan(impressions))
    assert report.verdict == "identified"
    assert report.components == [["1", "2", "3", "4", "5", "6"]]
    assert report.queries.shares()["full"] == {"queries": 1.0, "impressions": 1.0}
    assert set(report.positions["estimate"]) == {"finite"}
    assert report.links.height == 15
    assert advice(report) == []


def test_few_impressions_a_pair_are_a_weak_log_although_precise() -> None:
    cells = factor_log(n_pairs=20_000, n_positions=4, impressions=4, design="uniform", seed=0)
    report = audit(cells)
    assert report.verdict == "weak"
    assert "at most 4 impressions" in report.reasons[0]
    assert "position-bias" in advice(report)[0]


def test_large_standard_errors_are_a_weak_log_with_the_swap_that_helps_most() -> None:
    cells = factor_log(n_pairs=300, n_positions=6, impressions=30, design="epsilon-greedy", temperature=0.02, seed=0)
    report = audit(cells, max_se=0.1)
    assert report.verdict == "weak"
    assert report.repairs.swap is not None
    assert report.repairs.swap.worst_after < report.repairs.swap.worst_before
    assert any(line.startswith("The most useful 1,000 extra swap impressions") for line in advice(report))


def test_fixed_order_is_split_and_told_to_be_beyond_weighting() -> None:
    cells = factor_log(n_pairs=400, n_positions=4, impressions=10, design="fixed", seed=0)
    with pytest.warns(DataWarning, match="deterministic, and placement weights change nothing"):
        report = audit(replace(cells, pair_query=np.arange(400) // 4))
    assert report.verdict == "split"
    assert len(report.repairs.bridges) == 3
    assert len(report.repairs.merges) == 3
    assert set(report.positions["estimate"][1:]) == {"unlinked"}
    assert report.queries.shares()["full"]["queries"] < 1
    text = json.dumps(report.to_json(), default=lambda value: value.to_json())
    assert '"se": "inf"' in text


def test_a_position_without_clicks_is_one_sided_and_minus_infinity() -> None:
    pair, position = np.repeat(np.arange(50), 3), np.tile([1, 2, 3], 50)
    clicks = np.where(position == 3, 0, np.repeat(np.arange(50), 3) % 15 + 2)
    cells = CellTable.from_arrays(pair, position, np.full(150, 20), clicks, pair_query=np.arange(50))
    with pytest.warns(DataWarning, match=r"no clicks at 1 positions \(3\)"):
        report = audit(cells)
    assert report.verdict == "one-sided"
    assert report.positions["estimate"].to_list() == ["finite", "finite", "-inf"]


@pytest.mark.filterwarnings("ignore::ir_shared.console.DataWarning")
@pytest.mark.parametrize(
    "frame",
    [
        pl.DataFrame({"qid": [1], "docid": [1], "position": [3], "click": [1]}),
        pl.DataFrame({"qid": [1, 1], "docid": [1, 2], "position": [1, 1], "click": [0, 1]}),
        pl.DataFrame({"qid": [1, 1], "docid": [1, 1], "position": [1, 2], "click": [0, 0]}),
        pl.DataFrame({"qid": [1, 2], "docid": [1, 1], "position": [2, 7], "click": [0, 1]}),
    ],
)
def test_the_smallest_logs_get_a_verdict_and_a_report(frame: pl.DataFrame, tmp_path: Path) -> None:
    report = audit(ClickLog.scan(frame))
    assert report.verdict in ("identified", "weak", "one-sided", "split")
    report.write(tmp_path)
    page = (tmp_path / "report.md").read_text()
    assert page.startswith(f"# Audit: {report.verdict}\n")
    assert "nan" not in page


def test_cells_with_few_impressions_make_no_link() -> None:
    cells = CellTable.from_arrays([0, 0, 1, 1], [1, 2, 2, 3], [50, 50, 50, 2], [20, 20, 20, 1], pair_query=[0, 1])
    assert audit(cells).graph.n_components == 1
    assert audit(cells, min_impressions=3).graph.n_components == 1
    assert audit(cells, min_impressions=3).graph.seen.tolist() == [True, True, False]
    with pytest.raises(UserError, match="lower --min-impressions"):
        audit(cells, min_impressions=100)


def test_a_bias_column_splits_positions_into_factors_that_need_links_of_their_own() -> None:
    rng = np.random.default_rng(0)
    n = 4000
    session, phone = np.arange(n), rng.random(n) < 0.5
    swapped = rng.random(n) < 0.5
    frame = pl.DataFrame(
        {
            # Each query is asked on one device only, so nothing compares a phone with a desk.
            "qid": np.repeat(np.where(phone, session % 10, 10 + session % 10), 2),
            "docid": np.column_stack([swapped, ~swapped]).astype(int).reshape(-1),
            "position": np.tile([1, 2], n),
            "click": rng.integers(0, 2, 2 * n),
            "device": np.repeat(np.where(phone, "phone", "desk"), 2),
        }
    )
    assert audit(ClickLog.scan(frame)).verdict == "identified"
    report = audit(ClickLog.scan(frame, LogColumns(bias=("device",))))
    assert report.verdict == "split"
    assert report.components == [["1 · desk", "2 · desk"], ["1 · phone", "2 · phone"]]


def test_documents_as_pairs_link_what_queries_do_not() -> None:
    frame = pl.DataFrame({"qid": [1, 1, 2, 2], "docid": [1, 2, 2, 1], "position": [1, 2, 1, 2], "click": [1, 0, 0, 1]})
    with pytest.warns(DataWarning, match="deterministic"):
        assert audit(ClickLog.scan(frame)).verdict == "split"
    with pytest.warns(DataWarning, match="equally relevant to every query"):
        report = audit(ClickLog.scan(frame), keys="doc")
    assert report.graph.n_components == 1
    assert report.queries.verdict.tolist() == ["full", "full"]


@pytest.mark.parametrize(
    ("keys", "overlap", "verdict"), [("linear", 10.0, "identified"), ("classifier", -0.3, "split")]
)
@pytest.mark.filterwarnings("ignore::ir_shared.console.DataWarning")
def test_features_can_carry_the_verdict(keys: str, overlap: float, verdict: str) -> None:
    x, position = interval_features(n_queries=200, overlap=overlap)
    x, position = x[position <= 4], position[position <= 4]
    n = len(x)
    click = np.random.default_rng(0).random(n) < 1 / (1 + np.exp(-(np.sin(x) + 0.3 * x - 1)))
    cells = CellTable.from_arrays(np.arange(n), position, np.full(n, 50.0), 50.0 * click, pair_query=np.arange(n) // 4)
    features = PairFeatures.checked(x[:, None], ["b"])
    report = audit(cells, keys=keys, features=features, classifier="trees" if keys == "classifier" else "none")
    assert report.verdict == verdict
    assert report.overlap is not None
    assert report.overlap.exact.components == 4
    with pytest.raises(UserError, match="need features"):
        audit(cells, keys=keys)


def test_the_written_report_is_complete_and_agrees_with_itself(impressions: pl.DataFrame, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs twotower-ident[plot]")
    log = ClickLog.scan(impressions, LogColumns(features=("f*",)))
    with pytest.warns(DataWarning, match="no better than their shares"):
        report = audit(log, classifier="logistic")
    files = {file.name for file in report.write(tmp_path)}
    tables = {"audit.json", "links.csv", "positions.csv", "queries.csv", "report.md"}
    plots = {f"{name}.{kind}" for name in ("links", "contrasts", "components", "overlap") for kind in ("png", "svg")}
    assert files == tables | plots == {file.name for file in tmp_path.iterdir()}
    found = json.loads((tmp_path / "audit.json").read_text())
    assert found["verdict"] == report.verdict
    assert found["overlap"]["linear"]["verdict"] == "identified"
    queries = pl.read_csv(tmp_path / "queries.csv")
    assert queries["impressions"].sum() == impressions.height
    assert queries["qid"].sort().to_list() == impressions["qid"].unique().sort().to_list()
    page = (tmp_path / "report.md").read_text()
    assert "| classifier | overlap" in page
    assert "![Swap pairs of each two positions](links.png)" in page


def test_partitions_do_not_change_an_audit(impressions: pl.DataFrame) -> None:
    log = ClickLog.scan(impressions)
    one, other = audit(log), audit(log, partitions=5)
    assert one.to_json() == other.to_json()


@pytest.mark.filterwarnings("ignore::ir_shared.console.DataWarning")
def test_features_beside_the_log_can_be_the_pairs() -> None:
    one, position = interval_features(n_queries=200, overlap=0.3, seed=0)
    query = np.repeat(np.arange(200), 10)
    log = ClickLog.scan(pl.DataFrame({"qid": query, "docid": position, "position": position, "click": position % 2}))
    table = pl.DataFrame({"qid": query, "docid": position, "f0": one, "f1": np.cos(one)})
    features = table_features(log, table)
    assert len(audit(log, features=features, keys="exact", classifier="none").components) == 10
    assert len(audit(log, features=features, keys="exact:1", classifier="none").components) == 1
    assert len(audit(log, features=features, keys="bucket:f0", classifier="none").components) == 1
    assert len(audit(log, features=features, keys="bucket", classifier="none").components) == 1
    with pytest.raises(UserError, match="no feature 'f7'"):
        audit(log, features=features, keys="bucket:f7", classifier="none")


@pytest.mark.filterwarnings("ignore::ir_shared.console.DataWarning")
def test_every_component_has_a_colour_of_its_own(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs twotower-ident[plot]")
    n = 9
    fixed = CellTable.from_arrays(range(n), range(1, n + 1), [50] * n, [20] * n)
    audit(fixed).write(tmp_path)
    bars = re.findall(r"fill: (#[0-9a-f]{6})", (tmp_path / "components.svg").read_text())
    assert len(set(bars) - {"#ffffff"}) >= n

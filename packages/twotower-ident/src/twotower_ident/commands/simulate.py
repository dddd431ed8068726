"""``simulate``: a click log from learning-to-rank data, a logging policy and users whose bias is known."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from ir_shared.console import UserError, notice, print_json, track
from ir_shared.run_dir import write_json

from twotower_ident.commands.log_options import Json, Quiet, Seed, document
from twotower_ident.commands.model_options import Folder, NFeatures

if TYPE_CHECKING:
    import polars as pl

    from twotower_ident.letor import RankingData
    from twotower_ident.policies import RankScores, Sampler
    from twotower_ident.simulate import ClickWorld

__all__ = ["simulate_command"]


def simulate_command(
    letor: Annotated[Path, typer.Option("--letor", help="LETOR svmlight file, plain or gzipped.")],
    out: Folder,
    labels: Annotated[
        Literal["original", "linear", "deep"], typer.Option(help="Whose labels the users go by.")
    ] = "original",
    policy: Annotated[
        Literal["expert", "linear", "deep"], typer.Option(help="The logging policy; deep needs the extra deep.")
    ] = "expert",
    strength: Annotated[float, typer.Option(help="α: 1 shows the best first, -1 the worst, 0 a random order.")] = 1.0,
    sampler: Annotated[
        Literal["epsilon-greedy", "gumbel", "pivot-swap"], typer.Option(help="How sessions depart from that order.")
    ] = "epsilon-greedy",
    temperature: Annotated[float, typer.Option(help="τ: share of changed sessions, or scale of the noise.")] = 0.0,
    sessions: Annotated[int, typer.Option(help="How many sessions.", min=1)] = 10_000,
    bias_strength: Annotated[float, typer.Option(help="b: the bias logit is -b ln(position).")] = 1.0,
    k: Annotated[int, typer.Option("--k", help="Documents of a query, best labels first.", min=1)] = 25,
    log: Annotated[bool, typer.Option("--log/--no-log", help="Take features to signed logarithms.")] = True,
    n_features: NFeatures = None,
    aggregated: Annotated[
        bool, typer.Option("--aggregated", help="Write impressions and clicks of cells instead of sessions.")
    ] = False,
    seed: Seed = 0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Simulate a click log: log.parquet, features.parquet and truth.json."""
    from twotower_ident.letor import prepare, read_letor
    from twotower_ident.simulate import make_world
    from twotower_ident.user_models import SyntheticLabels, UserModel

    data = prepare(read_letor(letor, n_features=n_features, k=k), k=k, log=log)
    if labels != "original":
        data = SyntheticLabels(labels, data.features.shape[1], seed=seed).label(data)
    world = make_world(data, _policy(policy, data, strength, seed), UserModel(bias_strength), seed=seed)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out}: no folder can be made there ({error.strerror}); choose another place") from error
    rows = _write_log(out / "log.parquet", world, _sampler(sampler, temperature), sessions, seed, aggregated, quiet)
    _write_pairs(out, data, world)
    settings = {"labels": labels, "policy": policy, "strength": strength, "sampler": sampler}
    settings |= {"temperature": temperature, "sessions": sessions, "bias_strength": bias_strength, "k": k, "log": log}
    write_json(out / "truth.json", {"position_bias": world.position_bias, "settings": settings, "seed": seed})
    if json:
        result = {"out": out, "rows": rows, "queries": data.n_queries, "pairs": len(data.labels)}
        print_json(document("simulate", {"letor": letor}, seed, **result, settings=settings))
    else:
        notice(f"{out}: {rows} rows of {sessions} sessions on {data.n_queries} queries, {len(data.labels)} pairs")


def _policy(kind: Literal["expert", "linear", "deep"], data: RankingData, strength: float, seed: int) -> RankScores:
    from twotower_ident.policies import ExpertPolicy, LearnedPolicy

    return ExpertPolicy(strength) if kind == "expert" else LearnedPolicy.fit(data, kind, strength=strength, seed=seed)


def _sampler(kind: str, temperature: float) -> Sampler:
    from twotower_ident.policies import EpsilonGreedy, Gumbel, PivotSwap

    samplers: dict[str, type[Sampler]] = {"epsilon-greedy": EpsilonGreedy, "gumbel": Gumbel, "pivot-swap": PivotSwap}
    return samplers[kind](temperature)  # type: ignore[call-arg]  # the protocol says nothing of how one is made


def _write_log(
    path: Path, world: ClickWorld, sampler: Sampler, sessions: int, seed: int, aggregated: bool, quiet: bool
) -> int:
    from twotower_ident.simulate import cell_frame, iter_sessions, simulate_cells

    frames: Iterable[pl.DataFrame]
    if aggregated:
        frames = [cell_frame(world, simulate_cells(world, sampler, sessions=sessions, seed=seed))]
    else:
        frames = iter_sessions(world, sampler, sessions=sessions, seed=seed)
    # A log that was cut short would pass for a whole one, so it gets its name when it is complete.
    unfinished = path.with_suffix(".part")
    try:
        rows = _write_parquet(unfinished, track(frames, "simulating", quiet=quiet))
        unfinished.replace(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error}); choose another place") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return rows


def _write_parquet(path: Path, frames: Iterable[pl.DataFrame]) -> int:
    """Writes frames one after the other and counts their rows."""
    import pyarrow.parquet as pq

    rows, writer = 0, None
    try:
        for frame in frames:
            table = frame.to_arrow()
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
            rows += frame.height
    finally:
        if writer is not None:
            writer.close()
    return rows


def _write_pairs(out: Path, data: RankingData, world: ClickWorld) -> None:
    """Features and truth of each pair, named as in the log."""
    import polars as pl

    from twotower_ident.simulate import pair_names

    names = pair_names(world)
    truth = names.with_columns(pl.Series("label", data.labels), pl.Series("relevance", world.relevance))
    truth.write_parquet(out / "pairs.parquet")
    columns = [pl.Series(f"f{i}", data.features[:, i]) for i in range(data.features.shape[1])]
    names.with_columns(columns).write_parquet(out / "features.parquet")

"""``simulate``: a log drawn from a model in a world whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from ir_shared.console import notice, print_json, track
from ir_shared.run_dir import write_json

from clax.commands.options import Json, ModelName, Quiet, Seed, document

__all__ = ["simulate"]

_CHUNK = 65_536


def simulate(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the log and the truth.")],
    model: ModelName = "dbn",
    sessions: Annotated[int, typer.Option("--sessions", "-n", help="How many sessions.", min=1)] = 100_000,
    queries: Annotated[int, typer.Option("--queries", help="How many queries; popularity is Zipf's.", min=1)] = 1_000,
    documents: Annotated[int, typer.Option("--documents", help="Documents of each query.", min=1)] = 20,
    max_positions: Annotated[int, typer.Option("--max-positions", help="Documents shown.", min=1)] = 10,
    confounding: Annotated[
        float,
        typer.Option(
            "--confounding",
            help="Share of sessions ranked by true attraction instead of at random; at 1 position bias and relevance "
            "cannot be told apart.",
            min=0.0,
            max=1.0,
        ),
    ] = 0.0,
    seed: Seed = 0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Simulate a log: sessions.parquet, annotations.parquet (true attraction), truth.json and the true model.

    The true model is an ordinary fitted one, in the folder truth: evaluate and predict take it.
    """
    from clax.checkpoint import save_model
    from clax.data import SessionData, SessionWriter
    from clax.data.rows import to_sessions
    from clax.simulation import make_world

    world = make_world(model, queries=queries, documents=documents, max_positions=max_positions, seed=seed)
    metadata = {"num_pairs": world.num_pairs, "max_positions": max_positions, "unknown_id": None, "vocabulary": None}
    clicks = 0
    with SessionWriter(out / "sessions.parquet", metadata) as writer:
        parts = world.stream(sessions, confounding=confounding, seed=seed, chunk=min(_CHUNK, sessions))
        for part in track(parts, "simulating", total=-(-sessions // _CHUNK), quiet=quiet):
            writer.write(to_sessions(part._replace(labels=None)))
            clicks += int(part.clicks.sum())
    _write_annotations(out / "annotations.parquet", world)
    data = SessionData.from_parquet(out / "sessions.parquet")
    about = {**metadata, "fingerprint": data.source.fingerprint()}
    save_model(out / "truth", world.model, world.params, data=about, seed=seed)
    settings = {"model": model, "sessions": sessions, "queries": queries, "documents": documents}
    settings |= {"max_positions": max_positions, "confounding": confounding}
    result = document("simulate", seed, settings=settings, clicks=clicks, parameters=_probabilities(world))
    write_json(out / "truth.json", result)
    if json:
        print_json(result)
    if not quiet:
        notice(f"{out}: {sessions} sessions with {clicks} clicks, {world.num_pairs} pairs")


def _write_annotations(path: Path, world: Any) -> None:
    """One list of all documents per query, with the true attraction as label."""
    import numpy as np

    from clax.data import Sessions, SessionWriter

    queries, documents = world.attraction.shape
    every = Sessions(
        offsets=np.arange(queries + 1, dtype=np.int64) * documents,
        clicks=np.zeros(world.num_pairs, bool),
        pair_ids=np.arange(1, world.num_pairs + 1, dtype=np.int32),
        labels=world.attraction.ravel().astype(np.float32),
        query_ids=np.arange(queries, dtype=np.int32),
    )
    metadata = {"num_pairs": world.num_pairs, "max_positions": documents, "unknown_id": None, "vocabulary": None}
    with SessionWriter(path, metadata) as writer:
        writer.write(every)


def _probabilities(world: Any) -> dict[str, Any]:
    """The true probabilities of all parameters but those of pairs, which the true model's file holds."""
    from clax.parameters import Tabular, row_probabilities

    return {
        name: row_probabilities(parameter, world.params[name])
        for name, parameter in world.model.parameters().items()
        if isinstance(parameter, Tabular) and parameter.rows < world.num_pairs and name in world.params
    }

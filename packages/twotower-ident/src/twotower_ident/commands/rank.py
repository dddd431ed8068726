"""``rank``: scores of documents by a trained model; its bias tower has no part in them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from ir_shared.console import UserError, notice, print_json

from twotower_ident.commands.log_options import Json, Quiet, document

if TYPE_CHECKING:
    import polars as pl

    from twotower_ident.towers import Inputs

__all__ = ["rank_command"]


def rank_command(
    model: Annotated[Path, typer.Option("--model", help="Folder that train wrote.")],
    features: Annotated[
        Path,
        typer.Option("--features", help="LETOR text, or a table with qid, docid and the model's columns."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Run file to write, in TREC format.")],
    log: Annotated[
        bool, typer.Option("--log/--no-log", help="Take features of LETOR text to signed logarithms, as simulate does.")
    ] = True,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score documents for serving."""
    from ir_shared.trec import write_run

    from twotower_ident.towers import Embedding, FittedModel

    fitted = FittedModel.load(model)
    if isinstance(fitted.model.tower, Embedding) or fitted.inputs is None:
        raise UserError(f"{model}: an embedding tower cannot score new pairs; train a linear or deep tower on features")
    table = _read(features, fitted.inputs, log)
    scores = fitted.score(table.select(fitted.inputs.names).to_numpy().astype("float64"))
    run: dict[str, dict[str, float]] = {}
    for qid, docid, score in zip(table["qid"], table["docid"], scores.tolist(), strict=True):
        run.setdefault(str(qid), {})[str(docid)] = score
    write_run(out, run, "twotower-ident")
    if json:
        result = {"out": out, "queries": len(run), "documents": table.height}
        print_json(document("rank", {"model": model, "features": features}, None, **result))
    elif not quiet:
        notice(f"{out}: {table.height} documents of {len(run)} queries")


def _read(path: Path, inputs: Inputs, log: bool) -> pl.DataFrame:
    """Documents with the model's columns."""
    import polars as pl

    from twotower_ident.log_source import open_source, reading

    if path.suffix in (".parquet", ".csv", ".arrow", ".feather", ".ipc", ".jsonl"):
        with reading(str(path)):
            table = open_source(path)
            if missing := [name for name in ("qid", "docid", *inputs.names) if name not in table.collect_schema()]:
                raise UserError(f"{path}: lacks the columns {', '.join(missing[:10])}; the model was trained on them")
            found = table.select("qid", "docid", *inputs.names).collect()
    else:
        found = _read_letor(path, inputs, log)
    if found.select(pl.struct("qid", "docid").is_duplicated().any()).item():
        raise UserError(f"{path}: holds a document of a query twice; keep one")
    numbers = found.select(pl.col(inputs.names).cast(pl.Float64, strict=False).is_finite().fill_null(False).all())
    if not all(numbers.row(0)):
        raise UserError(f"{path}: features hold values that are no number; mend or drop those rows")
    return found


def _read_letor(path: Path, inputs: Inputs, log: bool) -> pl.DataFrame:
    import numpy as np
    import polars as pl

    from twotower_ident.letor import read_letor

    columns = [int(name.removeprefix("f")) for name in inputs.names if name.removeprefix("f").isdigit()]
    if len(columns) != len(inputs.names):
        raise UserError(f"{path}: the model's columns are not those of LETOR text; give a table with its columns")
    data = read_letor(path)
    values = np.zeros((len(data.labels), max(columns) + 1))
    width = min(values.shape[1], data.features.shape[1])
    values[:, :width] = data.features[:, :width]
    if log:
        values = np.sign(values) * np.log1p(np.abs(values))
    index = np.arange(len(data.labels)) - np.repeat(data.offsets[:-1], data.sizes)
    names = pl.DataFrame({"qid": np.repeat(np.array(data.qids, dtype=object), data.sizes).tolist(), "index": index})
    docids = names.select("qid", pl.format("{}-{}", "qid", "index").alias("docid"))
    return docids.with_columns(pl.Series(name, values[:, i]) for name, i in zip(inputs.names, columns, strict=True))

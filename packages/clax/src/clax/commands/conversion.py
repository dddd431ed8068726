"""``convert``: raw logs to Parquet with one row per session, and the vocabulary of their pairs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from ir_shared.console import UserError, notice, print_json, print_table
from ir_shared.run_dir import write_json

from clax.commands.options import BinariseClicks, Json, Quiet, document

if TYPE_CHECKING:
    from clax.data import HashedPairs, Vocabulary
    from clax.data.raw import RawLog

__all__ = ["convert"]

Format = Literal["yandex", "yandex-judgements", "long"]


def convert(
    format: Annotated[Format, typer.Argument(help="Kind of log.")],  # noqa: A002 - the name of the argument
    log: Annotated[Path, typer.Argument(help="The log; text may be compressed.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for sessions.parquet and vocabulary.parquet.")],
    max_positions: Annotated[int, typer.Option("--max-positions", help="Ranks to keep.", min=1)] = 10,
    min_count: Annotated[int, typer.Option("--min-count", help="Pairs shown less often share one id.", min=1)] = 1,
    vocabulary: Annotated[
        Path | None, typer.Option("--vocabulary", help="Number by this vocabulary instead of building one.")
    ] = None,
    vocabulary_sessions: Annotated[
        int | None,
        typer.Option("--vocabulary-sessions", help="Build it from the first sessions only.", min=1),
    ] = None,
    hash_ids: Annotated[
        int | None, typer.Option("--hash-ids", help="Hash pairs to so many ids instead; needs no vocabulary.", min=1)
    ] = None,
    hash_seed: Annotated[int, typer.Option("--hash-seed", help="Seed of the hash function.", min=0)] = 0,
    columns: Annotated[
        str,
        typer.Option(
            "--columns",
            help="For long logs: session=,query=,document=,position=,click=,label= with your names; position= alone "
            "says that there are none and the rows are in order.",
        ),
    ] = "",
    binarise_clicks: BinariseClicks = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Convert a log to Parquet with one row per session, in bounded memory.

    yandex: the text of the WSCD 2012 challenge. long: CSV, TSV or Parquet with one row per document shown.
    yandex-judgements: labels, numbered by a --vocabulary, for evaluate --annotations.
    """
    from clax.data import Vocabulary
    from clax.data import convert as write

    raw = _open(format, log, columns)
    numbering = _numbering(raw, vocabulary, vocabulary_sessions, min_count, hash_ids, hash_seed)
    if format == "yandex-judgements" and vocabulary is None and hash_ids is None:
        raise UserError("judgements are numbered as the log was: give --vocabulary, or the same --hash-ids")
    name = "annotations.parquet" if format == "yandex-judgements" else "sessions.parquet"
    done = write(raw, out / name, numbering, max_positions=max_positions, binarise_clicks=binarise_clicks)
    if isinstance(numbering, Vocabulary) and vocabulary is None:
        numbering.save(out / "vocabulary.parquet")
    dropped = getattr(raw, "dropped_clicks", 0)
    result = document(
        "convert",
        hash_seed if hash_ids else None,
        log=log,
        format=format,
        file=done.sessions_file,
        vocabulary=numbering.fingerprint,
        num_pairs=done.num_pairs,
        max_positions=max_positions,
        dropped_clicks=dropped,
        counts=done.counts,
    )
    write_json(out / "conversion.json", result)
    if dropped and not quiet:
        notice(f"{log}: {dropped} clicks on documents that their query did not show were dropped")
    if json:
        print_json(result)
        return
    counts = done.counts
    rows = [["sessions", counts.sessions], ["documents", counts.documents], ["clicks", counts.clicks]]
    rows += [["pairs", done.num_pairs], ["documents outside the vocabulary", counts.unknown_documents]]
    print_table(str(done.sessions_file), ["", "count"], rows)


def _open(format: Format, log: Path, columns: str) -> RawLog:  # noqa: A002
    from clax.data import LongColumns, LongFile, YandexJudgements, YandexLog

    if not log.is_file():
        raise UserError(f"{log}: no such file")
    if format == "yandex":
        return YandexLog(log)
    if format == "yandex-judgements":
        return YandexJudgements(log)
    names = dict(part.partition("=")[::2] for part in columns.split(",") if part)
    try:
        return LongFile(log, LongColumns(**{key: name or None for key, name in names.items()}))  # type: ignore[arg-type]
    except TypeError:
        known = ", ".join(LongColumns.__dataclass_fields__)
        raise UserError(f"--columns {columns!r}: expected KEY=NAME,... with keys of {known}") from None


def _numbering(
    raw: RawLog,
    vocabulary: Path | None,
    sessions: int | None,
    min_count: int,
    hash_ids: int | None,
    hash_seed: int,
) -> Vocabulary | HashedPairs:
    from clax.data import HashedPairs, Vocabulary

    if hash_ids is not None:
        if vocabulary is not None:
            raise UserError("--hash-ids and --vocabulary are two ways to number pairs; give one")
        return HashedPairs(hash_ids, hash_seed)
    if vocabulary is not None:
        return Vocabulary.load(vocabulary)
    return Vocabulary.build(raw, min_count=min_count, max_sessions=sessions)

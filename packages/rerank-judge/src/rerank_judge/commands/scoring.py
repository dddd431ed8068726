"""``pool`` and ``score``: which pairs a judge is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer
from ir_shared.console import PartialResult, UserError, notice, print_json, track
from ir_shared.trec import read_qrels, read_run, read_topics, write_run

from rerank_judge.commands.inputs import keep_inputs
from rerank_judge.commands.options import Json, Quiet, document
from rerank_judge.passages import open_passages
from rerank_judge.pooling import Pool, holes, make_pairs, pool_from_qrels, pool_from_runs, write_pairs
from rerank_judge.runs import run_files
from rerank_judge.score_store import ScoreStore, score_pairs
from rerank_judge.scorers import Pair, PairScorer, load_scorer, read_pairs, score_run
from rerank_judge.scorers.base import Status

__all__ = ["pool_command", "score"]

_UNANSWERED: tuple[Status, ...] = ("failed", "invalid", "refused", "missing")


def pool_command(
    topics: Annotated[Path, typer.Option("--topics", help="Queries: lines of qid, tab, query.")],
    passages: Annotated[
        Path,
        typer.Option(
            "--passages",
            help="Texts: lines of docid, tab, text; JSON lines; or the folder of MS MARCO v2. Never read as a whole.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="JSON lines to write, for score --pairs.")],
    qrels: Annotated[Path | None, typer.Option("--qrels", help="Pool the pairs judged here.")] = None,
    runs: Annotated[
        Path | None, typer.Option("--runs", help="Pool the first documents of this run, or of all runs in this folder.")
    ] = None,
    depth: Annotated[int, typer.Option("--depth", help="Documents of each list, with --runs.", min=1)] = 10,
    holes_: Annotated[
        Path | None, typer.Option("--holes", help="Keep only the pairs that nobody judged in these qrels.")
    ] = None,
    json: Json = False,
) -> None:
    """Collect the pairs to judge, with their texts: judged ones, or what systems retrieved; give --qrels or --runs."""
    pool, inputs = _pool(qrels, runs, depth)
    keep_inputs(out, topics, passages, *inputs.values(), holes_)
    if holes_ is not None:
        pool, inputs = holes(pool, read_qrels(holes_)), inputs | {"holes": holes_}
        if not pool:
            raise UserError(f"--holes {holes_}: every pair of its topics is judged; there is nothing left to score")
    pairs = make_pairs(pool, read_topics(topics), open_passages(passages))
    write_pairs(out, pairs)
    if json:
        # Passages can be many gigabytes: their hash would take longer than the work.
        result = document("pool", inputs | {"topics": topics}, passages=passages, pairs=len(pairs), out=out)
        print_json(result | {"topics": len(pool)})
    else:
        notice(f"{out}: {len(pairs)} pairs of {len(pool)} topics")


def score(
    judge: Annotated[
        str,
        typer.Option(
            "--judge",
            help="monot5:, seqcls: or rank1: and a model folder or hub id; grader:MODEL?base_url=ADDRESS; file:PATH "
            "(scores or labels that are there); or lexical (BM25 over the pairs). Options behind a question mark.",
        ),
    ],
    pairs: Annotated[
        Path, typer.Option("--pairs", help="JSON lines with query_id, query, docid, text and, if any, title.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Score store to write: JSON lines that every other command reads.")
    ],
    run: Annotated[
        Path | None, typer.Option("--run", help="Write the scores in run format too: the pairs, re-ranked.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a store that is there.")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="With --resume, ask again where there was no answer.")] = False,
    batch_tokens: Annotated[
        int | None, typer.Option("--batch-tokens", help="Most tokens of a batch, padding included.", min=1)
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")] = "auto",
    dtype: Annotated[str, typer.Option("--dtype", help="auto, float32, float16 or bfloat16.")] = "auto",
    max_length: Annotated[
        int | None,
        typer.Option("--max-length", help="Longest input in tokens.", show_default="as the judge was trained", min=1),
    ] = None,
    cpu_fallback: Annotated[
        bool, typer.Option("--cpu-fallback", help="Let the CPU take pairs that exceed the GPU's memory on their own.")
    ] = False,
    save_traces: Annotated[bool, typer.Option("--save-traces", help="Keep what the judge wrote.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score (query, document) pairs with a judge; what is scored is saved at once, and --resume goes on with it."""
    if retry and not resume:
        raise UserError("--retry: asks again what a store has no answer to; give --resume with it")
    keep_inputs(out, pairs)
    keep_inputs(run, pairs, out)
    ScoreStore.check_place(out, resume=resume)
    given = read_pairs(pairs)
    scorer = load_scorer(
        judge,
        device=device,
        dtype=dtype,
        max_length=max_length,
        batch_tokens=batch_tokens,
        cpu_fallback=cpu_fallback,
    )
    with ScoreStore.open(out, scorer.card, resume=resume) as store:
        _score_all(store, scorer, given, traces=save_traces, retry=_UNANSWERED if retry else (), quiet=quiet)
        store.finalise(given)
    scores, _ = score_run(found for pair in given if (found := store.get(pair.qid, pair.docid)) is not None)
    counts = store.counts()
    if not scores:
        raise UserError(f"{scorer.judge_id}: has a score for none of the {len(given)} pairs ({_shown(counts)})")
    if run is not None:
        write_run(run, scores, scorer.judge_id)
    if json:
        card = scorer.card.to_json(counts)
        print_json(document("score", {"pairs": pairs}, judge=card, pairs=len(given), out=out, run=run))
    else:
        notice(f"{out}: {scorer.judge_id}, {_shown(counts)}")


def _pool(qrels: Path | None, runs: Path | None, depth: int) -> tuple[Pool, dict[str, Path]]:
    if (qrels is None) == (runs is None):
        raise UserError("pool: give one of --qrels and --runs")
    if qrels is not None:
        return pool_from_qrels(read_qrels(qrels)), {"qrels": qrels}
    assert runs is not None
    return pool_from_runs(map(read_run, run_files(runs).values()), depth), {"runs": runs}


def _score_all(
    store: ScoreStore,
    scorer: PairScorer,
    pairs: Sequence[Pair],
    *,
    traces: bool,
    retry: Sequence[Status],
    quiet: bool,
) -> None:
    """Scores what the store lacks, with one step of the progress bar for each pair."""
    done = chain.from_iterable(score_pairs(store, scorer, pairs, traces=traces, retry=retry))
    missing = sum(1 for pair in pairs if (pair.qid, pair.docid) not in store)
    try:
        for _ in track(done, "scoring", total=missing, quiet=quiet):
            pass
    except KeyboardInterrupt:
        scored = sum(1 for pair in pairs if (pair.qid, pair.docid) in store)
        raise PartialResult(
            f"{scored} of {len(pairs)} pairs are in {store.path}; the same command with --resume goes on from there"
        ) from None


def _shown(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {status}" for status, count in counts.items())

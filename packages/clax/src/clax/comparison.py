"""Several models fitted to one log and judged on the same held-out part of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ir_shared.console import UserError

from clax.config import FitConfig
from clax.evaluation import Evaluation, evaluate
from clax.fitting import fit
from clax.logs import open_log, open_logs
from clax.structure import make_model

__all__ = ["Compared", "compare"]


@dataclass(frozen=True)
class Compared:
    """One model's line.

    Attributes:
        model: its name.
        evaluation: on the test part.
        best_epoch: where its weights are from.
        seconds: that the fit took.
    """

    model: str
    evaluation: Evaluation
    best_epoch: int
    seconds: float


def compare(
    config: FitConfig,
    models: Sequence[str],
    folder: str | Path | None = None,
    *,
    on_epoch: Callable[[str, Mapping[str, Any]], None] | None = None,
) -> Iterator[Compared]:
    """Fits models one after the other, as one configuration says, and evaluates each on the test part of the log.

    Args:
        config: how to fit; its own model is not used.
        models: names.
        folder: keeps each model in a folder of its name; nothing is written without one.
        on_epoch: called after each epoch with the model's name and the epoch's line of its history.

    Yields:
        One result per model, in the order given.

    Raises:
        UserError: the log cannot be used, or has no test part.
    """
    if not models:
        raise UserError("no model to compare is given")
    test = open_log(config.data.train, config.data).test
    for name in models:  # a misspelt name should not be found after an hour of fitting the others
        make_model(replace(config, model=name), test)
    for name in models:
        one = replace(config, model=name)

        def tell(line: Mapping[str, Any], name: str = name) -> None:
            if on_epoch is not None:
                on_epoch(name, line)

        place = None if folder is None else Path(folder) / name
        fitted = fit(one, place, logs=open_logs(one.data, one.seed), on_epoch=tell)
        seen = None if fitted.counts is None else fitted.counts.seen
        yield Compared(name, evaluate(fitted.model, fitted.params, test, seen=seen), fitted.best_epoch, fitted.seconds)

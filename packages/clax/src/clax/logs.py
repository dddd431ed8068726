"""The logs of a fit, and the part of a log on which a fitted model is to be judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ir_shared.console import UserError

from clax.checkpoint import SavedModel
from clax.config import DataSettings, FitConfig, from_mapping
from clax.data.columns import Columns
from clax.data.session_data import SessionData

__all__ = ["Logs", "Part", "check_vocabulary", "held_out", "open_log", "open_logs"]

_MAX_BATCH, _MIN_BATCH, _STEPS = 4096, 64, 200

Part = Literal["auto", "all", "train", "valid", "test"]


@dataclass(frozen=True)
class Logs:
    """The logs of a fit.

    Attributes:
        train: shuffled.
        valid: in order; None if the split has no share for it.
    """

    train: SessionData
    valid: SessionData | None


def open_logs(settings: DataSettings, seed: int = 0) -> Logs:
    """Opens the training and the validation log.

    Args:
        settings: which files, and how they are cut.
        seed: of the order of the training sessions.

    Raises:
        UserError: see :meth:`SessionData.from_parquet`; or the two logs have different vocabularies.
    """
    if not settings.train:
        raise UserError("no training log is given: name its files as [data] train, or on the command line")
    whole = open_log(settings.train, settings)
    if settings.batch_size is None:
        whole = whole.batched(_batch_size(whole.num_sessions))
    if settings.valid:
        alike = replace(settings, window=None, batch_size=whole.batch_size)
        valid = open_log(settings.valid, alike, like=whole)
        return Logs(replace(whole, shuffle=seed), valid)
    valid_share = settings.split[1]
    return Logs(replace(whole.train, shuffle=seed), whole.valid if valid_share else None)


def open_log(paths: Sequence[str], settings: DataSettings, like: SessionData | None = None) -> SessionData:
    """Opens one log, in order.

    Args:
        paths: files, folders or patterns.
        settings: how to read them.
        like: the log a model was fitted to, whose vocabulary and sizes hold.
    """
    data = SessionData.from_parquet(
        paths,
        max_positions=settings.max_positions if like is None else like.max_positions,
        num_pairs=settings.num_pairs if like is None else like.num_pairs,
        columns=_columns(settings.columns),
        zero_based=settings.zero_based,
        binarise_clicks=settings.binarise_clicks,
        clip_to_unknown=settings.clip_to_unknown,
        batch_size=settings.batch_size or _MAX_BATCH,
        fractions=settings.split,
    )
    if like is not None:
        check_vocabulary(data, like.vocabulary_name, like.num_pairs)
    return data if settings.window is None else data.window(*settings.window)


def held_out(saved: SavedModel, paths: Sequence[str], part: Part = "auto") -> SessionData:
    """The log, or a part of it, on which a fitted model is to be judged.

    Args:
        saved: the model.
        paths: files, folders or patterns.
        part: which part of the model's own split; ``"auto"`` = the test part of the log it was fitted to, all of any
            other log.

    Raises:
        UserError: the log has another vocabulary than the model.
    """
    config = from_mapping(FitConfig, saved.about.get("config") or {}, "model.json")
    known = saved.about["data"]
    settings = replace(config.data, num_pairs=known["num_pairs"], max_positions=known["max_positions"], window=None)
    data = open_log(paths, replace(settings, clip_to_unknown=False))
    clips = config.data.clip_to_unknown
    rules = replace(data.rules, unknown_id=known["unknown_id"], clip_to_unknown=clips)
    data = replace(data, rules=rules)
    check_vocabulary(data, known["vocabulary"], known["num_pairs"])
    same = data.source.fingerprint() == known["fingerprint"]
    if same and config.data.window is not None:
        data = data.window(*config.data.window)
    if part == "auto":
        part = "test" if same and not config.data.valid else "all"
    return data if part == "all" else replace(getattr(data, part), shuffle=None)


def _batch_size(sessions: int) -> int:
    """A power of two that makes enough steps an epoch for the weights to get anywhere."""
    return min(_MAX_BATCH, max(_MIN_BATCH, 1 << max(1, sessions // _STEPS).bit_length() - 1))


def check_vocabulary(data: SessionData, name: str | None, num_pairs: int) -> None:
    """Refuses a log whose ids mean other documents than a model's.

    Args:
        data: the log.
        name: the fingerprint of the model's vocabulary; None if it is not known.
        num_pairs: how many pairs it numbers.

    Raises:
        UserError: both vocabularies are known, and they differ.
    """
    own = data.source.metadata.get("num_pairs")
    if name is not None and data.vocabulary_name is not None and name != data.vocabulary_name:
        raise UserError(
            f"the log was made with another vocabulary ({own} pairs) than the model's ({num_pairs} pairs), so that its "
            "ids mean other documents; convert it with the model's vocabulary"
        )


def _columns(names: Mapping[str, str]) -> Columns:
    try:
        return Columns(**{key: value or None for key, value in names.items()})
    except TypeError:
        raise UserError(
            f"[data.columns]: unknown key in {', '.join(names)}; the keys are those of clax.data.Columns"
        ) from None

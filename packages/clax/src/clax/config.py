"""What ``clax fit`` is told, as frozen dataclasses and as TOML; unknown keys and wrong types are refused.

model = "dbn"

[data]
train = ["clicks/*.parquet"]
max_positions = 10

[pairs]
kind = "hashed"
ratio = 10

[train]
lr = 0.01
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

from ir_shared.console import UserError

__all__ = ["DataSettings", "FitConfig", "PairSettings", "PriorSettings", "TrainSettings", "from_mapping", "read_config"]

T = TypeVar("T")
Method: TypeAlias = Literal["gradient", "em"]


@dataclass(frozen=True)
class DataSettings:
    """Where the log is and how it is cut.

    Attributes:
        train: files, folders or patterns of Parquet with one row per session.
        valid: a log of its own for validation; without one, ``split`` cuts the training log.
        split: shares of training, validation and test, in the order of the log.
        window: use only the sessions from the first number to the second.
        max_positions: P; needed unless clax wrote the files.
        num_pairs: the largest id; by default from the files.
        batch_size: sessions per step; by default a power of two up to 4096 that makes at least 200 steps an epoch.
        zero_based: ids start at 0.
        binarise_clicks: counts of clicks become 1.
        clip_to_unknown: ids above ``num_pairs`` share one row.
        columns: names of columns by what they hold, see :class:`~clax.data.Columns`; an empty name = no such column.
    """

    train: tuple[str, ...] = ()
    valid: tuple[str, ...] = ()
    split: tuple[float, float, float] = (0.8, 0.1, 0.1)
    window: tuple[int, int] | None = None
    max_positions: int | None = None
    num_pairs: int | None = None
    batch_size: int | None = None
    zero_based: bool = False
    binarise_clicks: bool = False
    clip_to_unknown: bool = False
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PairSettings:
    """What the parameters of query-document pairs are made of.

    Attributes:
        kind: a table, a smaller one shared by hashing or by quotient and remainder, or a function of features.
        ratio: pairs per row of the smaller tables.
        hidden: widths of the hidden layers of ``mlp`` and ``deep-cross``.
    """

    kind: Literal["table", "hashed", "quotient-remainder", "linear", "mlp", "deep-cross"] = "table"
    ratio: int = 10
    hidden: tuple[int, ...] = (32, 32)


@dataclass(frozen=True)
class PriorSettings:
    """Pseudo-counts on every probability of a table, as if seen before the data.

    Attributes:
        successes: imagined successes.
        failures: imagined failures.
    """

    successes: float = 0.0
    failures: float = 0.0


@dataclass(frozen=True)
class TrainSettings:
    """How to fit; see :class:`~clax.fit_result.TrainConfig`.

    Attributes:
        lr: learning rate of AdamW.
        weight_decay: of AdamW.
        epochs: at most so many passes; with EM, iterations.
        patience: epochs without an improvement that are borne.
        min_delta: what counts as an improvement; EM, whose steps are many and small, stops at a hundredth of it.
        reduction: mean over documents, or over sessions.
        sparse: update only the looked-up rows of tables.
    """

    lr: float = 0.01
    weight_decay: float = 1e-4
    epochs: int = 50
    patience: int = 0
    min_delta: float = 1e-5
    reduction: Literal["document", "session"] = "document"
    sparse: bool = False


@dataclass(frozen=True)
class FitConfig:
    """One fit.

    Attributes:
        model: a model's name, or several joined by ``+`` for a mixture.
        method: gradient descent, or EM (tables only).
        seed: of the initial weights and of the order of the sessions.
        data: the log.
        pairs: what stands behind the parameters of pairs.
        prior: pseudo-counts.
        train: how to fit.
    """

    model: str = "dbn"
    method: Method = "gradient"
    seed: int = 0
    data: DataSettings = field(default_factory=DataSettings)
    pairs: PairSettings = field(default_factory=PairSettings)
    prior: PriorSettings = field(default_factory=PriorSettings)
    train: TrainSettings = field(default_factory=TrainSettings)

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise UserError(f"method {self.method!r}: choose one of {', '.join(get_args(Method))}")


def read_config(path: str | Path) -> FitConfig:
    """Reads a TOML file.

    Raises:
        UserError: no such file, no TOML, an unknown key, or a value of the wrong type.
    """
    try:
        document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{path}: cannot be read as TOML ({error})") from error
    return from_mapping(FitConfig, document, str(path))


def from_mapping(kind: type[T], values: Mapping[str, Any], file: str, place: str = "") -> T:
    """Fills a frozen dataclass from a mapping, such as a TOML table or the ``config`` of a saved model.

    Args:
        kind: the dataclass.
        values: by field name; nested dataclasses as nested mappings.
        file: where they stand, for messages.
        place: the table they stand in, with a dot at its end.

    Raises:
        UserError: an unknown key, a missing one, or a value of the wrong type.
    """
    hints = get_type_hints(kind)
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(values) - set(known)):
        raise UserError(f"{file}: unknown key {place + unknown[0]!r}; known here are {', '.join(known)}")
    missing = [n for n, f in known.items() if n not in values and f.default is f.default_factory is MISSING]
    if missing:
        raise UserError(f"{file}: key {place + missing[0]!r} is missing")
    return kind(**{name: _value(hints[name], value, file, place + name) for name, value in values.items()})


def _value(hint: Any, value: Any, file: str, key: str) -> Any:
    if is_dataclass(hint) and isinstance(value, Mapping):
        return from_mapping(hint, value, file, f"{key}.")  # type: ignore[arg-type]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        if value is None and NoneType in arguments:
            return None
        return _value(next(a for a in arguments if a is not NoneType), value, file, key)
    if origin is tuple and isinstance(value, (list, tuple)):
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
        if len(kinds) == len(value):
            return tuple(_value(k, v, file, f"{key}[{i}]") for i, (k, v) in enumerate(zip(kinds, value, strict=True)))
    elif origin is Literal:
        if value in arguments:
            return value
        raise UserError(f"{file}: {key} = {value!r}; choose one of {', '.join(map(str, arguments))}")
    elif origin is not None and origin is not tuple and isinstance(value, Mapping):
        return {str(k): _value(arguments[1], v, file, f"{key}.{k}") for k, v in value.items()}
    elif hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    elif isinstance(hint, type) and isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    raise UserError(f"{file}: {key} = {value!r} is not of the right type, {_in_words(hint)}")


def _in_words(hint: Any) -> str:
    """A type as one who writes TOML knows it."""
    arguments = get_args(hint)
    if get_origin(hint) is tuple:
        many = "" if arguments[-1] is Ellipsis else f"{len(arguments)} "
        return f"a list of {many}{arguments[0].__name__}"
    return "a table" if arguments or is_dataclass(hint) else str(hint.__name__)

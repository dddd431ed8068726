"""A model's structure as plain JSON, and back.

Models, parameters and priors of this package are frozen dataclasses, so their fields say all. What is not ours (a Flax
module, a function, a model of yours) is recorded by name only, and loading then needs the model itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from ir_shared.console import UserError

from clax.models.base import ClickModel

__all__ = ["describe", "rebuild"]


def describe(value: Any) -> Any:
    """A model, or a part of one, as JSON."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, tuple):
        return [describe(item) for item in value]
    kind = type(value)
    if is_dataclass(value) and kind.__module__.startswith("clax."):
        return {"class": kind.__name__, **{f.name: describe(getattr(value, f.name)) for f in fields(value)}}
    return {"custom": f"{kind.__module__}.{kind.__qualname__}"}


def rebuild(description: Any, file: str) -> ClickModel:
    """The model that a description tells of.

    Args:
        description: from :func:`describe`.
        file: where it stands, for messages.

    Raises:
        UserError: a class or field that this version does not know, or a part that is not ours.
    """
    model = _rebuild(description, file)
    if not isinstance(model, ClickModel):
        raise UserError(f"{file}: describes no click model")
    return model


def _rebuild(description: Any, file: str) -> Any:
    if isinstance(description, list):
        return tuple(_rebuild(item, file) for item in description)
    if not isinstance(description, Mapping):
        return description
    if "custom" in description:
        raise UserError(
            f"{file}: the model holds {description['custom']}, which cannot be rebuilt from a file; "
            "load it in Python and pass the model: load_model(folder, model=...)"
        )
    known = _classes()
    name = description.get("class")
    if name not in known:
        raise UserError(f"{file}: {name!r} is unknown to this version of clax; load it with the one that wrote it")
    values = {key: _rebuild(value, file) for key, value in description.items() if key != "class"}
    try:
        return known[name](**values)
    except TypeError as error:
        raise UserError(f"{file}: {name} was written by another version of clax ({error})") from error


def _classes() -> dict[str, type]:
    from clax import models, parameters

    found = [getattr(module, name) for module in (models, parameters) for name in module.__all__]
    return {kind.__name__: kind for kind in found if isinstance(kind, type) and is_dataclass(kind)}

"""Numbers that JSON has no word for: infinities are results here, so they are written as text."""

from __future__ import annotations

import math
from typing import Any

from ir_shared.run_dir import to_jsonable

__all__ = ["plain"]


def plain(value: object) -> Any:
    """What ``json`` writes, with ``"inf"`` and ``"-inf"`` for infinities and None for NaN."""
    return to_jsonable(value, number=_in_words)


def _in_words(value: float) -> float | str | None:
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return None if math.isnan(value) else value

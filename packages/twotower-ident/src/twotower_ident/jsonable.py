"""Numbers that JSON has no word for: infinities are results here, so they are written as text."""

from __future__ import annotations

import math
from typing import Any

from ir_shared.run_dir import to_jsonable

__all__ = ["plain"]


def plain(value: object) -> Any:
    """What ``json`` writes, with ``"inf"`` and ``"-inf"`` for infinities and None for NaN."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if hasattr(value, "__dataclass_fields__") and not hasattr(value, "to_json"):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    return to_jsonable(value)

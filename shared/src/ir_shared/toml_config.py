"""Reading configuration from TOML so that a mistake is reported with the line it stands on."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ir_shared.console import UserError

__all__ = ["TomlFile"]

_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")


@dataclass(frozen=True)
class TomlFile:
    """A parsed TOML file that still knows its lines.

    Attributes:
        path: the file.
        text: its content.
        document: the same, parsed.
    """

    path: Path
    text: str
    document: dict[str, Any]

    @classmethod
    def read(cls, path: str | Path) -> TomlFile:
        """Reads a file.

        Raises:
            UserError: it is missing or not TOML.
        """
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
            return cls(path, text, tomllib.loads(text))
        except FileNotFoundError:
            raise UserError(f"{path}: no such file") from None
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise UserError(f"{path}: not TOML ({error})") from error

    def error(self, where: tuple[str | int, ...], problem: str) -> UserError:
        """An error about the value at ``where``, keys and places in arrays of tables, with its line."""
        return UserError(f"{self.path}:{self._line(where)}: {problem}")

    def check_keys(self, table: Mapping[str, Any], known: Collection[str], where: tuple[str | int, ...] = ()) -> None:
        """Refuses keys that are not known.

        Raises:
            UserError: the first unknown key, with its line and the known ones.
        """
        for key in table:
            if key not in known:
                inside = f" in [{'.'.join(str(part) for part in where if isinstance(part, str))}]" if where else ""
                raise self.error((*where, key), f"unknown key {key!r}{inside}; known are {', '.join(sorted(known))}")

    def table(self, table: Mapping[str, Any], key: str, where: tuple[str | int, ...] = ()) -> Mapping[str, Any]:
        """The table under a key, empty if there is none.

        Raises:
            UserError: something else stands there.
        """
        found = table.get(key, {})
        if not isinstance(found, dict):
            raise self.error((*where, key), f"{key}: expected a table, [{'.'.join(map(str, (*where, key)))}]")
        return found

    def _line(self, where: tuple[str | int, ...]) -> int:
        """The line of the longest part of ``where`` that stands on a line of its own."""
        best, line = 0, 1
        current: tuple[str | int, ...] = ()
        arrays: dict[tuple[str, ...], int] = {}
        for number, text in enumerate(self.text.splitlines(), start=1):
            header = _HEADER.match(text)
            if header:
                keys = _parts(header[2])
                current = keys
                if header[1] == "[[":
                    arrays[keys] = arrays.get(keys, -1) + 1
                    current = (*keys, arrays[keys])
                found = current
            elif key := _KEY.match(text):
                found = (*current, *_parts(key[1]))
            else:
                continue
            shared = next((i for i, (a, b) in enumerate(zip(found, where, strict=False)) if a != b), None)
            length = min(len(found), len(where)) if shared is None else shared
            if length > best and (shared is None or length == len(current)):
                best, line = length, number
        return line


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))

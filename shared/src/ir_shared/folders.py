"""Makes a folder of results whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ir_shared.console import UserError

__all__ = ["new_folder"]


@contextmanager
def new_folder(path: str | Path) -> Iterator[Path]:
    """Gives a temporary folder to fill; when the block ends without an error it becomes ``path``.

    Args:
        path: the folder to make; it may exist if it is empty.

    Raises:
        UserError: it holds something already, or cannot be made.
    """
    path = Path(path)
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise UserError(f"{path}: holds something already; choose another folder or delete this one")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part"))
    except OSError as error:
        raise UserError(f"{path}: cannot be made ({error.strerror or error}); choose another place") from error
    try:
        yield temporary
        # mkdtemp makes private folders; a result is as readable as any other folder of this user.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o777 & ~umask)
        if path.exists():
            path.rmdir()
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise

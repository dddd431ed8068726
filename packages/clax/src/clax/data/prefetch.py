"""Reading ahead in one thread, so that loading and computing overlap."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["prefetch"]

T = TypeVar("T")

_END = object()


def prefetch(items: Iterator[T], ahead: int = 1) -> Iterator[T]:
    """Yields the items in order while a thread makes the next ones.

    An error in the thread is raised here, where its item was due. Closing the generator stops the thread.

    Args:
        items: used by that thread alone.
        ahead: how many items may wait.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="clax-prefetch")
    waiting = deque(pool.submit(next, items, _END) for _ in range(ahead))
    try:
        while (item := waiting.popleft().result()) is not _END:
            waiting.append(pool.submit(next, items, _END))
            yield item  # type: ignore[misc]
    finally:
        pool.shutdown(cancel_futures=True)

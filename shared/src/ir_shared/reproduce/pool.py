"""Worker processes: a package's claims share one process, so its libraries load once, and a crash costs one claim."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ir_shared.claims import Scale, Verdict
from ir_shared.reproduce.plan import Task
from ir_shared.reproduce.results import Result

__all__ = ["Event", "measure_all"]

_LOG_LINES = 20
_AWAKE_S = 0.2
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "POLARS_MAX_THREADS",
)


@dataclass(frozen=True)
class Event:
    """What happened to a task: it started (no share, no result), it goes on (share), or it ended (result)."""

    task: Task
    share: float | None = None
    result: Result | None = None


def measure_all(tasks: Sequence[Task], jobs: int) -> Iterator[Event]:
    """Measures tasks in worker processes and yields what happens, in the order in which it happens.

    Args:
        tasks: what to measure; tasks of a package are best together.
        jobs: how many workers at once.

    Raises:
        KeyboardInterrupt: passed on, after the workers are gone.
    """
    waiting = list(tasks)
    inbox: queue.SimpleQueue[tuple[_Worker, dict[str, Any] | None]] = queue.SimpleQueue()
    workers: list[_Worker] = []
    try:
        while waiting or workers:
            while waiting and len(workers) < jobs:
                workers.append(_Worker(_next_package(waiting, workers), _environment(waiting[0].scale, jobs), inbox))
                yield from _give_next(workers[-1], waiting)
            worker, message = _receive(inbox)
            task = worker.task
            if message is None:
                workers.remove(worker)
                if task is not None:
                    yield Event(task, result=task.unmeasured(Verdict.ERROR, worker.obituary()))
            elif task is not None and "result" in message:
                yield Event(task, result=Result.from_json(message["result"]))
                yield from _give_next(worker, waiting)
            elif task is not None:
                yield Event(task, share=message["share"])
    finally:
        for worker in workers:
            worker.kill()


def _receive(
    inbox: queue.SimpleQueue[tuple[_Worker, dict[str, Any] | None]],
) -> tuple[_Worker, dict[str, Any] | None]:
    """Waits for a message, and awakes now and then.

    Libraries that claims import (Polars, for one) handle SIGINT so that a wait is taken up again after it: a wait
    without an end would keep Ctrl-C from Python until the next message.
    """
    while True:
        try:
            return inbox.get(timeout=_AWAKE_S)
        except queue.Empty:
            continue


def _next_package(waiting: Sequence[Task], workers: Sequence[_Worker]) -> str:
    """A package that no worker serves yet, if there is one: its libraries must be loaded by somebody anyway."""
    served = {worker.package for worker in workers}
    return next(
        (task.package.package for task in waiting if task.package.package not in served), waiting[0].package.package
    )


def _give_next(worker: _Worker, waiting: list[Task]) -> Iterator[Event]:
    """Hands a worker the next task of its package, or lets it go home."""
    task = next((task for task in waiting if task.package.package == worker.package), None)
    if task is None:
        worker.dismiss()
        return
    waiting.remove(task)
    worker.give(task)
    yield Event(task)


def _environment(scale: Scale, jobs: int) -> dict[str, str]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # One thread at quick: sums come out the same on every machine, and tiny models run fastest.
    threads = 1 if scale == "quick" else max(1, cores // jobs)
    environment = {**os.environ, **dict.fromkeys(_THREAD_VARIABLES, str(threads)), "TOKENIZERS_PARALLELISM": "false"}
    if scale == "quick":
        environment |= {"HF_HUB_OFFLINE": "1"}  # quick promises to need no network
    return environment


class _Worker:
    """A process that measures claims of one package."""

    def __init__(
        self,
        package: str,
        environment: Mapping[str, str],
        inbox: queue.SimpleQueue[tuple[_Worker, dict[str, Any] | None]],
    ) -> None:
        self.package = package
        self.task: Task | None = None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the worker
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ir_shared.reproduce.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=dict(environment),
            text=True,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C is for the parent to handle
        )
        threading.Thread(target=self._listen, args=(inbox,), daemon=True).start()

    def give(self, task: Task) -> None:
        """Sends a task; a worker that has died meanwhile is noticed by the listener."""
        self.task = task
        order = {
            "package": task.package.package,
            "claim": task.claim.name,
            "scale": task.scale,
            "seeds": task.seeds,
            "controls": task.controls,
            "folder": str(task.folder),
            "relative": task.relative,
            "data_dir": str(task.data_dir) if task.data_dir else None,
        }
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return

    def dismiss(self) -> None:
        """Closes the worker's stdin: it ends by itself."""
        self.task = None
        assert self._process.stdin is not None
        self._process.stdin.close()

    def kill(self) -> None:
        """Ends the worker and whatever it started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def obituary(self) -> str:
        """How the process ended, with the last lines it printed."""
        code = self._process.wait()
        cause = f"was ended by signal {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        hint = " (out of memory?)" if code == -signal.SIGKILL else ""
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").splitlines()[-_LOG_LINES:]
        return "\n".join([f"the measuring process {cause}{hint}", *lines])

    def _listen(self, inbox: queue.SimpleQueue[tuple[_Worker, dict[str, Any] | None]]) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            inbox.put((self, json.loads(line)))
        inbox.put((self, None))

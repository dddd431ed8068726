"""The thin layer under ten packages that put papers in retrieval and recommendation to the test.

Import what you need from its modules: ``claims``, ``reproduce``, ``report``, ``run_dir``, ``trec``, ``retrieval``,
``tiny_models``, ``stats``, ``seeding``, ``console``, ``plotting`` and ``sample_data``.
"""

from importlib.metadata import version

__version__ = version("ir-shared")
__all__ = ["__version__"]

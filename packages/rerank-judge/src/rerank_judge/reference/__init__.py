"""Published figures to compare with.

A file of figures is TOML with a table for each collection::

    [dl23]
    selected_on = "dl22"

    [dl23.judges]
    monot5-base = { direct = 0.269, threshold = 0.57, kappa = 0.269 }

``direct`` is the kappa of the judge's own decisions, ``kappa`` that at ``threshold``, which was selected on
``selected_on``.
"""

from rerank_judge.reference.figures import Figures, Published, read_reference

__all__ = ["Figures", "Published", "read_reference"]

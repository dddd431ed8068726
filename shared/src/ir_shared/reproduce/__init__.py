"""The ``reproduce`` command: measures the claims of every installed package and says what held.

``plan`` decides what is to be measured and what is unchanged since last time, ``pool`` runs worker processes,
``worker`` is what runs in them, ``live`` shows the progress, ``cli`` is the command. In Python:

    from ir_shared.reproduce import run
    results = run(["rerank-judge"], scale="quick", out="report")
"""

from ir_shared.reproduce.plan import Task, plan
from ir_shared.reproduce.results import Result
from ir_shared.reproduce.session import Session, run

__all__ = ["Result", "Session", "Task", "plan", "run"]

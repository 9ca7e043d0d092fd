"""Hyperparameter search: OCTIS's Optimizer with resuming, parallel runs and recorded seeds."""

from octis_m3l.search.executors import Executor
from octis_m3l.search.on_ray import OnRay
from octis_m3l.search.optimizer import Optimizer
from octis_m3l.search.result import SearchResult
from octis_m3l.search.runs import Job, Outcome, Task
from octis_m3l.search.spaces import search_space

__all__ = [
    "Executor",
    "Job",
    "OnRay",
    "Optimizer",
    "Outcome",
    "SearchResult",
    "Task",
    "search_space",
]

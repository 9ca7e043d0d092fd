"""Search of hyperparameters: OCTIS's Optimizer, resumed, in parallel, on anybody's models."""

from octis_m3l.optimization.executors import Executor, Processes, Sequential
from octis_m3l.optimization.on_ray import OnRay
from octis_m3l.optimization.optimizer import Optimizer
from octis_m3l.optimization.result import SearchResult
from octis_m3l.optimization.runs import Job, Outcome, Task
from octis_m3l.optimization.spaces import search_space

__all__ = [
    "Executor",
    "Job",
    "OnRay",
    "Optimizer",
    "Outcome",
    "Processes",
    "SearchResult",
    "Sequential",
    "Task",
    "search_space",
]

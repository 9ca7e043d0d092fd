"""Runs on a Ray cluster.

joblib's backend for Ray (``ray.util.joblib``) can't be used: it returns nothing before all runs
have ended, and loses them all with one worker.
"""

import os
import pickle
import sys
import warnings
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import torch

from octis_m3l.devices import checked_threads
from octis_m3l.errors import SettingsError, import_extra
from octis_m3l.search.executors import ATTEMPTS, Executor, unreadable
from octis_m3l.search.runs import Job, Outcome, Task


class OnRay(Executor):
    """Executes runs on a Ray cluster; the run of a lost worker is repeated by another one.

    Where workers see the folder of the search, an interrupted run of a model of this package
    continues from its checkpoint.

    Parameters
    ----------
    job : Job
        What all runs share; each machine gets it once.
    address : str, optional
        Of a running cluster ('auto': the one that this machine belongs to). Default: a cluster
        is started on this machine, and stopped after the search.
    workers : int
        Runs at once, and processors of a cluster that is started here.
    gpus : float
        GPUs of each run, which Ray assigns; may be a fraction.
    threads : int, optional
        Processors of each run. Default: one.
    """

    def __init__(
        self,
        job: Job,
        *,
        address: str | None = None,
        workers: int = 2,
        gpus: float = 0.0,
        threads: int | None = None,
    ) -> None:
        super().__init__(job)
        if workers < 1:
            raise SettingsError(f"workers={workers}: expected 1 or more.")
        self.workers, self.gpus = workers, gpus
        self.threads = checked_threads(threads) or 1
        os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
        self._ray = import_extra("ray", "ray")
        self._started_ray = not self._ray.is_initialized()
        self._running: dict[Any, Task] = {}
        if self._started_ray:
            options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
            if address is None:
                python_path = os.pathsep.join(filter(None, sys.path))
                options |= {"num_cpus": workers * self.threads, "include_dashboard": False}
                options |= {"runtime_env": {"env_vars": {"PYTHONPATH": python_path}}}
            self._ray.init(address=address or "local", **options)
        try:
            self._check_resources(is_local=self._started_ray and address is None)
            self._packed = self._ray.put(self._ray.cloudpickle.dumps(job))
        except BaseException:
            self.__exit__()
            raise

    def _check_resources(self, *, is_local: bool) -> None:
        """Reject runs that no machine of the cluster can execute: Ray would wait forever."""
        needed = {"CPU": float(self.threads), "GPU": float(self.gpus)}
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        if any(all(node.get(kind, 0.0) >= n for kind, n in needed.items()) for node in nodes):
            return
        shown = "; ".join(
            f"{node.get('CPU', 0):g} CPUs, {node.get('GPU', 0):g} GPUs" for node in nodes
        )
        message = (
            f"a run needs {self.threads} CPU(s) and {self.gpus:g} GPU(s) of one machine, and the "
            f"cluster's have {shown}"
        )
        if is_local:
            raise SettingsError(f"{message}; give runs fewer threads or gpus.")
        warnings.warn(f"{message}; waiting for one that has.", stacklevel=4)

    def outcomes(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """Yield the outcome of each run as it ends."""
        ray, waiting = self._ray, list(tasks)
        options = {"num_cpus": self.threads, "num_gpus": self.gpus, "max_retries": ATTEMPTS - 1}
        remote = ray.remote(**options)(_do)
        while waiting or self._running:
            while waiting and len(self._running) < self.workers:
                task = waiting.pop(0)
                self._running[remote.remote(self._packed, task, self.threads)] = task
            (ended, *_), _ = ray.wait(list(self._running), num_returns=1)
            task = self._running.pop(ended)
            try:
                yield ray.get(ended)
            except ray.exceptions.RayTaskError as error:
                raise unreadable(f"{type(error.cause).__name__}: {error.cause}") from None
            except (
                ray.exceptions.WorkerCrashedError,
                ray.exceptions.NodeDiedError,
                ray.exceptions.OutOfMemoryError,
            ) as error:
                message = f"its worker was lost {ATTEMPTS} times ({type(error).__name__})"
                yield Outcome(task.call, task.run, task.seed, None, 0.0, message)

    def __exit__(self, *_: object) -> None:
        """Stop the runs, and the cluster if it was started here."""
        for run in self._running:
            self._ray.cancel(run, force=True)
        self._running.clear()
        if self._started_ray:
            self._ray.shutdown()


def _do(packed: bytes, task: Task, threads: int) -> Outcome:
    return _unpacked(packed, threads).do(task)


@lru_cache(maxsize=1)
def _unpacked(packed: bytes, threads: int) -> Job:
    torch.set_num_threads(threads)
    job: Job = pickle.loads(packed)
    return job

"""Runs on a Ray cluster."""

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from functools import lru_cache
from types import ModuleType
from typing import Any

from octis_m3l.devices import checked_threads
from octis_m3l.errors import MissingDependencyError, SettingsError
from octis_m3l.search.executors import ATTEMPTS, Executor, unreadable
from octis_m3l.search.runs import Job, Outcome, Task
from octis_m3l.search.shipping import packed, unpacked


class OnRay(Executor):
    """Runs on a Ray cluster; what a lost worker was doing, another one does again.

    The job goes to each machine once. Where workers see the folder of the search, a run of one of
    our models that was cut off goes on from its checkpoint.

    Parameters
    ----------
    job : Job
        What all runs share.
    address : str, optional
        Of a running cluster ('auto': the one that this machine belongs to). Default: one is begun
        on this machine, and ended with the search.
    workers : int
        Runs at once, and processors of a cluster that is begun here.
    gpus : float
        GPUs of each run, which Ray gives out; may be a share of one.
    threads : int, optional
        Processors of each run. Default: one.

    Raises
    ------
    MissingDependencyError
        If Ray is not installed.
    SettingsError
        If there is no worker, or this machine has less than a run needs.
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
        self._ray: Any = _installed()
        self._local = address is None
        self._began = not self._ray.is_initialized()
        if self._began:
            own = {
                "num_cpus": workers * self.threads,
                "include_dashboard": False,
                "runtime_env": {
                    "env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
                },
            }
            self._ray.init(
                address=address or "local",
                log_to_driver=False,
                logging_level="ERROR",
                **(own if address is None else {}),
            )
        self._running: dict[Any, Task] = {}
        try:
            self._check_room()
            self._packed = self._ray.put(packed(job, whole=True))
        except BaseException:
            self.__exit__()
            raise

    def _check_room(self) -> None:
        """Refuse what no machine of the cluster can run: Ray would wait for one for ever."""
        needed = {"CPU": float(self.threads), "GPU": float(self.gpus)}
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        if any(all(of.get(kind, 0.0) >= n for kind, n in needed.items()) for of in nodes):
            return
        there = "; ".join(f"{of.get('CPU', 0):g} CPUs, {of.get('GPU', 0):g} GPUs" for of in nodes)
        said = (
            f"a run needs {self.threads} CPU(s) and {self.gpus:g} GPU(s) of one machine, and the "
            f"cluster's have {there}"
        )
        if self._began and self._local:
            raise SettingsError(f"{said}; give runs fewer threads or gpus.")
        warnings.warn(f"{said}; waiting for one that has.", stacklevel=4)

    def outcomes(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """Yield what comes of each run, as they end.

        Parameters
        ----------
        tasks : sequence of Task
            The runs. One whose worker is lost three times has failed.
        """
        do = self._ray.remote(num_cpus=self.threads, num_gpus=self.gpus, max_retries=ATTEMPTS - 1)(
            _do
        )
        waiting, running = list(tasks), self._running
        lost = (
            self._ray.exceptions.WorkerCrashedError,
            self._ray.exceptions.NodeDiedError,
            self._ray.exceptions.OutOfMemoryError,
        )
        while waiting or running:
            while waiting and len(running) < self.workers:
                task = waiting.pop(0)
                running[do.remote(self._packed, task, self.threads)] = task
            (ended, *_), _ = self._ray.wait(list(running), num_returns=1)
            task = running.pop(ended)
            try:
                yield self._ray.get(ended)
            except self._ray.exceptions.RayTaskError as error:
                raise unreadable(error.cause) from None
            except lost as error:
                message = f"its worker was lost {ATTEMPTS} times ({type(error).__name__})"
                yield Outcome(task.call, task.run, task.seed, None, 0.0, message)

    def __exit__(self, *_: object) -> None:
        """Stop what is still running, and end the cluster if it was begun here."""
        for task in self._running:
            self._ray.cancel(task, force=True)
        self._running.clear()
        if self._began:
            self._ray.shutdown()


def _installed() -> ModuleType:
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    try:
        import ray
    except ImportError:
        raise MissingDependencyError(
            'a search on a cluster needs Ray, which is not installed: pip install "octis-m3l[ray]"'
        ) from None
    module: ModuleType = ray
    return module


def _do(content: bytes, task: Task, threads: int) -> Outcome:
    return _job(content, threads).do(task)


@lru_cache(maxsize=1)
def _job(content: bytes, threads: int) -> Job:
    import torch

    torch.set_num_threads(threads)
    return unpacked(content)

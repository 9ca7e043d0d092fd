"""Where runs are executed: in this process, in several processes, or by an executor of Ray."""

import os
import signal
import sys
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, replace
from pickle import PicklingError
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any, Self

import torch
from filelock import FileLock, Timeout
from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import BrokenProcessPool, TerminatedWorkerError

from octis_m3l.devices import check_device_name, checked_threads, each_device, on_threads
from octis_m3l.errors import SettingsError
from octis_m3l.search.runs import Job, Outcome, Task

ATTEMPTS = 3
"""How often a run is repeated whose process is killed."""
_CHECK_PARENT_EVERY = 0.2


class Executor(AbstractContextManager["Executor"]):
    """Executes the runs of one job; a context manager that releases its workers."""

    def __init__(self, job: Job) -> None:
        self.job = job

    @abstractmethod
    def outcomes(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """Yield the outcome of each run as it ends."""

    def __exit__(self, *_: object) -> None:
        """Release the workers."""


class Sequential(Executor):
    """Executes one run after another in this process, by default on one thread."""

    def __init__(self, job: Job, *, threads: int | None = None) -> None:
        super().__init__(job)
        self.threads = threads or 1

    def outcomes(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """Yield the outcome of each run, in order."""
        for task in tasks:
            with on_threads(self.threads):
                outcome = self.job.do(task)
            yield outcome


class Processes(Executor):
    """Executes runs in `count` processes of this machine, by joblib.

    joblib sends the job with every run: arrays as memory-mapped files, classes of the user's by
    value. Each process takes one of the devices for itself, if there are as many as processes.
    """

    def __init__(
        self, job: Job, count: int, *, devices: Sequence[str] = (), threads: int | None = None
    ) -> None:
        super().__init__(job)
        self.count, self.threads = count, threads or 1
        self.devices = [devices[number % len(devices)] for number in range(count) if devices]
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Set up the processes; they start with the first run."""
        locks = self._stack.enter_context(TemporaryDirectory())
        self._stack.callback(_end_workers)
        with parallel_config(
            backend="loky",
            inner_max_num_threads=self.threads,
            initializer=_start_worker,
            initargs=(os.getpid(), self.threads, self.devices, locks),
        ):
            # Copy-on-write, so that models may write to the arrays that they are given.
            options = {"return_as": "generator_unordered", "batch_size": 1, "mmap_mode": "c"}
            parallel = Parallel(n_jobs=self.count, pre_dispatch="n_jobs", **options)
            self._parallel = self._stack.enter_context(parallel)
        return self

    def __exit__(self, *_: object) -> None:
        """Kill the processes, whatever they are doing."""
        self._stack.close()

    def outcomes(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """Yield the outcome of each run as it ends."""
        waiting = list(tasks)
        while waiting:
            started: list[Task] = []
            try:
                for outcome in self._run(waiting, started):
                    run = outcome.call, outcome.run
                    waiting = [task for task in waiting if (task.call, task.run) != run]
                    yield outcome
            except TerminatedWorkerError:
                # joblib does not say which process was killed: every run that had started is
                # repeated by itself.
                for task in [task for task in waiting if task in started]:
                    waiting.remove(task)
                    yield self._repeat(task)

    def _repeat(self, task: Task) -> Outcome:
        for _ in range(ATTEMPTS):
            with suppress(TerminatedWorkerError):
                return next(self._run([task], []))
        error = f"its process was killed {ATTEMPTS} times; is there too little memory?"
        return Outcome(task.call, task.run, task.seed, None, 0.0, error)

    def _run(self, tasks: Iterable[Task], started: list[Task]) -> Iterator[Outcome]:
        def calls() -> Iterator[Any]:
            for task in tasks:
                started.append(task)
                yield delayed(_do)(self.job, task)

        try:
            yield from self._parallel(calls())
        except TerminatedWorkerError:
            raise
        except (BrokenProcessPool, PicklingError) as error:
            # The cause is a traceback in quotes, of which the last line says what is wrong.
            reason = str(error.__cause__ or error).strip('"\n').splitlines()[-1]
            raise unreadable(reason) from error


def _end_workers() -> None:
    workers = get_reusable_executor(reuse=True)
    # joblib's own executor also deletes the files in which it passed arrays.
    end = getattr(workers, "terminate", workers.shutdown)
    end(kill_workers=True)


_device: str | None = None
_lock: FileLock | None = None
_job: Job | None = None


def _start_worker(parent: int, threads: int, devices: Sequence[str], locks: str) -> None:
    """Set up a worker process: its threads, and a device that no other worker has."""
    global _device, _lock
    Thread(target=_end_with, args=(parent,), daemon=True).start()
    torch.set_num_threads(threads)
    for number, device in enumerate(devices):
        lock = FileLock(f"{locks}/{number}")
        with suppress(Timeout):
            lock.acquire(timeout=0)
            # The lock is released when the process ends, even if it is killed.
            _device, _lock = device, lock
            return


def _end_with(parent: int) -> None:
    """End this process when its parent is gone."""
    while os.getppid() == parent:
        time.sleep(_CHECK_PARENT_EVERY)
    os.kill(os.getpid(), signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)


def _do(job: Job, task: Task) -> Outcome:
    global _job
    # A process keeps the first copy of the job, with all that its metrics have cached.
    _job = _job or job
    return _job.do(replace(task, device=_device or task.device))


def unreadable(reason: str) -> SettingsError:
    """Return the error of a worker that cannot read the job."""
    return SettingsError(
        f"a worker can't read the search ({reason}); models, metrics and data must be importable "
        "where it runs."
    )


@dataclass(frozen=True)
class Place:
    """Where `optimize` and `compare` execute their runs."""

    processes: int
    devices: tuple[str, ...]
    threads: int | None
    executor: Callable[[Job], Executor] | None

    @classmethod
    def checked(
        cls,
        processes: int,
        device: str | Sequence[str] | None,
        threads: int | None,
        executor: Any = None,
    ) -> Self:
        """Return the place, or raise if runs can't be executed there."""
        if not isinstance(processes, int) or processes < 1:
            raise SettingsError(f"processes={processes!r}: expected 1 or more.")
        checked_threads(threads)
        devices = [device] if isinstance(device, str) else list(device or ())
        if executor is None:
            for name in devices:
                check_device_name(name)
            devices = each_device(devices, processes)
            return cls(max(processes, len(devices)), tuple(devices), threads, None)
        if not callable(executor):
            raise SettingsError(
                f"executor={executor!r}: expected a function from a job to an executor, as in "
                "functools.partial(OnRay, workers=8)."
            )
        if len(devices) > 1:
            raise SettingsError(
                f"device={devices!r}: an executor assigns devices itself (OnRay: gpus=1); give one "
                "device or none."
            )
        return cls(processes, tuple(devices), threads, executor)

    @property
    def device(self) -> str | None:
        """The device of all runs, if there is only one."""
        return self.devices[0] if len(self.devices) == 1 else None

    def executor_for(self, job: Job, runs: int = sys.maxsize) -> Executor:
        """Return the executor of a job with at most so many runs."""
        if self.executor is not None:
            return self.executor(job)
        if self.processes == 1:
            return Sequential(job, threads=self.threads)
        # joblib uses no process of its own for one worker.
        count = min(self.processes, max(2, runs))
        return Processes(job, count, devices=self.devices, threads=self.threads)

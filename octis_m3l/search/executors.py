"""Where runs are done: here one after another, or in several processes at once."""

import os
import signal
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from threading import Thread
from typing import Any, Self

from octis_m3l.devices import checked_threads, on_threads
from octis_m3l.errors import SettingsError
from octis_m3l.search.runs import Job, Outcome, Task
from octis_m3l.search.shipping import packed, unpacked

ATTEMPTS = 3
"""How often a run is begun whose process is killed."""


class Executor(ABC):
    """Does the runs of one job; a context manager that lets go of what it holds.

    Parameters
    ----------
    job : Job
        What all runs share.
    """

    def __init__(self, job: Job) -> None:
        self.job = job

    @abstractmethod
    def outcomes(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """Yield what comes of each run, as they end.

        Parameters
        ----------
        tasks : sequence of Task
            The runs.
        """

    def __enter__(self) -> Self:
        """Return the executor."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go."""
        return


class Sequential(Executor):
    """One run after another, in this process.

    Parameters
    ----------
    job : Job
        What all runs share.
    threads : int, optional
        Of each run. Default: one, as elsewhere, since sums depend on them.
    """

    def __init__(self, job: Job, *, threads: int | None = None) -> None:
        super().__init__(job)
        self.threads = checked_threads(threads) or 1

    def outcomes(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """Yield what comes of each run, in order.

        Parameters
        ----------
        tasks : sequence of Task
            The runs.
        """
        for task in tasks:
            with on_threads(self.threads):
                outcome = self.job.do(task)
            yield outcome


class Processes(Executor):
    """Several processes of this machine, each with the job; a killed one is replaced.

    Parameters
    ----------
    job : Job
        What all runs share.
    count : int
        How many processes.
    devices : sequence of str
        Given out to runs in turn, so that each has one to itself where there are as many as
        processes. Empty: as the model says.
    threads : int, optional
        Of torch and of the numeric libraries, in each process. Default: one.

    Raises
    ------
    SettingsError
        If there is no process.
    """

    def __init__(
        self, job: Job, count: int, *, devices: Sequence[str] = (), threads: int | None = None
    ) -> None:
        super().__init__(job)
        if count < 1:
            raise SettingsError(f"processes={count}: expected 1 or more.")
        self.count, self.threads = count, checked_threads(threads) or 1
        self.slots: list[str | None] = [
            devices[number % len(devices)] if devices else None for number in range(count)
        ]
        self._packed = packed(job)
        self._pool: Any = None

    def outcomes(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """Yield what comes of each run, as they end.

        Parameters
        ----------
        tasks : sequence of Task
            The runs. One whose process is killed three times has failed.
        """
        from concurrent.futures import FIRST_COMPLETED, Future, wait
        from concurrent.futures.process import BrokenProcessPool

        waiting, free = list(tasks), list(self.slots)
        suspects: list[Task] = []
        attempts: dict[tuple[int, int], int] = {}
        running: dict[Future[Outcome], tuple[Task, str | None]] = {}
        while waiting or suspects or running:
            # The pool doesn't say which process was killed: all that ran begin again, one by one,
            # and only a run that was alone is counted as the one.
            source, room = (suspects, 1 - len(running)) if suspects else (waiting, len(free))
            for _ in range(min(room, len(source))):
                task, device = source.pop(0), free.pop(0)
                sent = replace(task, device=device or task.device)
                running[self._submit(sent)] = (task, device)
            alone = len(running) == 1
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            lost = []
            for future in ended:
                task, device = running.pop(future)
                free.append(device)
                try:
                    yield future.result()
                except BrokenProcessPool:
                    lost.append(task)
            if not lost:
                continue
            lost += [task for task, _ in running.values()]
            free += [device for _, device in running.values()]
            running.clear()
            self._stop()
            for task in lost:
                key = task.call, task.run
                attempts[key] = attempts.get(key, 0) + alone
                if attempts[key] < ATTEMPTS:
                    suspects.append(task)
                    continue
                message = f"its process was killed {ATTEMPTS} times; is there too little memory?"
                yield Outcome(task.call, task.run, task.seed, None, 0.0, message)

    def _submit(self, task: Task) -> Any:
        if self._pool is None:
            from loky import ProcessPoolExecutor

            self._pool = ProcessPoolExecutor(
                self.count,
                initializer=_begin,
                initargs=(self._packed, self.threads, os.getpid()),
                env={name: str(self.threads) for name in _THREADS},
                timeout=None,
            )
        from concurrent.futures.process import BrokenProcessPool

        try:
            return self._pool.submit(_do, task)
        except BrokenProcessPool:
            # A process was killed while it had nothing to do.
            self._stop()
            return self._submit(task)

    def _stop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, kill_workers=True)
            self._pool = None

    def __exit__(self, *_: object) -> None:
        """End the processes, whatever they are doing."""
        self._stop()


_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
_WATCH = 0.2
_job: Job | Exception | None = None


def _begin(content: bytes, threads: int, parent: int) -> None:
    global _job
    import torch

    Thread(target=_end_with, args=(parent,), daemon=True).start()
    torch.set_num_threads(threads)
    try:
        _job = unpacked(content)
    except Exception as error:
        # Raised by the first run: an initializer that raises says nothing but that it did.
        _job = error


def _end_with(parent: int) -> None:
    """End this process when the one that began it is gone: nobody is left at work."""
    while os.getppid() == parent:
        time.sleep(_WATCH)
    os.kill(os.getpid(), signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)


def _do(task: Task) -> Outcome:
    if not isinstance(_job, Job):
        raise unreadable(_job)
    return _job.do(task)


def unreadable(error: object) -> SettingsError:
    """Return the error of a worker that can't read the job."""
    return SettingsError(
        f"a worker can't read the search ({type(error).__name__}: {error}); models, metrics and "
        "data must be importable, and folders readable, where it runs."
    )

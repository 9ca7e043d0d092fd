"""Where runs are done: in this process, in several, on which devices, or elsewhere."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from octis_m3l.devices import check_device_name, checked_threads, each_device
from octis_m3l.errors import SettingsError
from octis_m3l.search.executors import Executor, Processes, Sequential
from octis_m3l.search.runs import Job


@dataclass(frozen=True)
class Place:
    """What `optimize` and `compare` were told of where to do their runs."""

    processes: int
    devices: tuple[str, ...]
    threads: int | None
    executor: Callable[[Job], Executor] | None

    @property
    def device(self) -> str | None:
        """The device of all runs, where there is one alone."""
        return self.devices[0] if len(self.devices) == 1 else None

    def executor_for(self, job: Job, runs: int | None = None) -> Executor:
        """Return what does the runs of a job."""
        if self.executor is not None:
            return self.executor(job)
        count = self.processes if runs is None else min(self.processes, runs)
        if count == 1 and len(self.devices) < 2:
            return Sequential(job, threads=self.threads)
        return Processes(job, count, devices=self.devices, threads=self.threads)


def place(
    processes: int,
    device: str | Sequence[str] | None,
    threads: int | None,
    executor: object = None,
) -> Place:
    """Return where runs are done, after a look at whether they can be."""
    if not isinstance(processes, int) or processes < 1:
        raise SettingsError(f"processes={processes!r}: expected 1 or more.")
    checked_threads(threads)
    devices = [device] if isinstance(device, str) else list(device or ())
    if executor is not None:
        if not callable(executor):
            raise SettingsError(
                f"executor={executor!r}: expected a function from a job to an executor, as in "
                "functools.partial(OnRay, workers=8)."
            )
        if len(devices) > 1:
            raise SettingsError(
                f"device={devices!r}: an executor gives out devices itself (OnRay: gpus=1); "
                "give one device or none."
            )
        return Place(processes, tuple(devices), threads, executor)
    for name in devices:
        check_device_name(name)
    devices = each_device(devices, processes)
    return Place(max(processes, len(devices)), tuple(devices), threads, None)

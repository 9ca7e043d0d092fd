"""What happened in a run of a chain."""

from dataclasses import dataclass, field


@dataclass
class Progress:
    """What happened: log p(w | z) a token after every 50 sweeps, and why it ended."""

    log_likelihood: list[float] = field(default_factory=list)
    stopped: str = "finished"
    seconds: float = 0.0

    def copy(self) -> "Progress":
        """Return what has happened until now."""
        return Progress(list(self.log_likelihood), self.stopped, self.seconds)

"""The settings of a search: those of OCTIS's ``optimize``, checked before any run."""

import inspect
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from octis.optimization.optimizer import Optimizer as OctisOptimizer
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from octis_m3l.errors import SettingsError
from octis_m3l.files import as_json
from octis_m3l.validation import problems

_Count = Annotated[int, Field(ge=1, strict=True)]


def _file_name(name: str) -> str:
    if not name or Path(name).name != name:
        raise ValueError("expected the name of a file; save_path says in which folder")
    return name.removesuffix(".json").removesuffix(".png")


_FileName = Annotated[str, AfterValidator(_file_name)]


class SearchSettings(BaseModel):
    """The settings of OCTIS's ``optimize``, with its defaults, and `batch`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    number_of_call: _Count = 5
    n_random_starts: _Count = 1
    initial_point_generator: Literal["lhs", "sobol", "halton", "hammersly", "grid", "random"] = (
        "lhs"
    )
    optimization_type: Literal["Maximize", "Minimize"] = "Maximize"
    model_runs: _Count = 5
    surrogate_model: Literal["RF", "ET", "GP", "RS"] = "RF"
    acq_func: Literal["LCB", "EI", "PI"] = "LCB"
    random_state: int = False
    x0: dict[str, list[Any]] = {}
    y0: list[float] = []
    save_models: bool = True
    save_step: _Count = 1
    save_name: _FileName = "result"
    save_path: str = "results/"
    early_stop: bool = False
    early_step: _Count = 5
    plot_best_seen: bool = False
    plot_model: bool = False
    plot_name: _FileName = "B0_plot"
    log_scale_plot: bool = False
    topk: _Count = 10
    batch: _Count = 1

    @field_validator("random_state", mode="before")
    @classmethod
    def _drawn(cls, given: Any) -> Any:
        return secrets.randbelow(2**31) if given is None else given

    @field_validator("save_path", mode="before")
    @classmethod
    def _folder(cls, given: Any) -> str:
        return f"{str(given).rstrip('/') or '.'}/"

    @classmethod
    def checked(cls, positional: Sequence[Any], given: Mapping[str, Any]) -> Self:
        """Return settings from arguments by position and by name, as OCTIS's ``optimize`` has them.

        One SettingsError lists everything that is wrong.
        """
        names = list(inspect.signature(OctisOptimizer.optimize).parameters)[6:]
        if len(positional) > len(names):
            raise SettingsError(f"optimize takes {len(names) + 5} positional arguments at most.")
        given = {**dict(zip(names, positional, strict=False)), **given}
        plain = as_json({name: value for name, value in given.items() if name != "kernel"})
        try:
            return cls(**plain)
        except ValidationError as error:
            raise SettingsError(problems(error, names, "argument of optimize")) from None

    def check_points(self, space: Mapping[str, Any]) -> None:
        """Raise if the points in `x0` and their scores in `y0` do not fit the search space."""
        lengths = {len(values) for values in self.x0.values()}
        if (
            (self.x0 and set(self.x0) != set(space))
            or len(lengths) > 1
            or (self.y0 and lengths != {len(self.y0)})
        ):
            raise SettingsError(
                f"x0={self.x0!r}, y0={self.y0!r}: expected in x0 a list for each of "
                f"{', '.join(sorted(space))}, all of the same length, which y0 has too if it is "
                "given."
            )
        for name, values in self.x0.items():
            outside = [value for value in values if value not in space[name]]
            if outside:
                raise SettingsError(f"x0: {name}={outside[0]!r} is outside the search space.")
        if self.given_points > self.number_of_call:
            raise SettingsError(
                f"x0 has {self.given_points} points for number_of_call={self.number_of_call}."
            )

    @property
    def given_points(self) -> int:
        """How many points `x0` has."""
        return len(next(iter(self.x0.values()), []))

    @property
    def file(self) -> Path:
        """The file of the search as OCTIS writes it."""
        return Path(self.save_path) / f"{self.save_name}.json"

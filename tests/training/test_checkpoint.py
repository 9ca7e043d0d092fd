"""A run that goes on where it was broken off, bit for bit."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from octis_m3l.errors import StorageError
from octis_m3l.training import History, train
from octis_m3l.training.checkpoint import FILE

from .toy import STEPS, Toy, Walker, differing, loop, sampler, told

RUN = {"model": "toy", "topics": 3, "data": {"en": [22, 9]}}


def interrupted(
    folder: Path, stop_at: int, *, seed: int = 0, done: int, epochs: int = 5, **changes: Any
) -> History:
    """Run until Ctrl-C, from an initialisation of its own if there is a checkpoint."""
    network = Toy(seed=seed, stop_at=stop_at)
    validation = sampler("validation") if changes.pop("validated", False) else None
    message = (
        f"training was interrupted after {done} of {epochs} epochs; the model keeps what it has "
        "learned so far."
    )
    with pytest.warns(UserWarning, match=f"^{re.escape(message)}$"):
        history = train(
            network,
            sampler(),
            loop(epochs, **changes),
            seed=0,
            validation=validation,
            checkpoint=folder,
            run=RUN,
        )
    assert history.stopped == "interrupted"
    assert len(history.epochs) == done
    return history


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("stop_at", [1, 3, 4, 5, 12, 15])
def test_a_resumed_run_is_an_unbroken_one(stop_at: int, schedule: str, tmp_path: Path) -> None:
    unbroken, resumed = Toy(), Toy(seed=7 if stop_at > STEPS else 0)
    settings = loop(schedule=schedule)
    expected = train(unbroken, sampler(), settings, seed=0)
    done = (stop_at - 1) // STEPS
    first = interrupted(tmp_path, stop_at, done=done, schedule=schedule)
    assert first.epochs == expected.epochs[:done]
    assert (tmp_path / FILE).exists() == (done > 0)
    history = train(resumed, sampler(), settings, seed=0, checkpoint=tmp_path, run=RUN)
    assert told(history) == told(expected)
    assert history.seconds > 0
    assert differing(resumed, unbroken) == []
    assert resumed.calls == (5 - done) * STEPS


def test_a_run_broken_off_again_and_again_is_an_unbroken_one(tmp_path: Path) -> None:
    unbroken, resumed = Toy(), Toy(seed=9)
    expected = train(unbroken, sampler(), loop(), seed=0)
    for done in range(1, 5):
        interrupted(tmp_path, STEPS + 2, done=done, seed=0 if done == 1 else 10 + done)
    history = train(resumed, sampler(), loop(), seed=0, checkpoint=tmp_path, run=RUN)
    assert told(history) == told(expected)
    assert differing(resumed, unbroken) == []


@pytest.mark.parametrize("stop_at", [5, 8, 10])
def test_early_stopping_goes_on_where_it_was(stop_at: int, tmp_path: Path) -> None:
    validation, settings = sampler("validation"), loop(40, patience=2, learning_rate=0.5)
    unbroken, resumed = Toy(), Toy(seed=7)
    expected = train(unbroken, sampler(), settings, seed=0, validation=validation)
    assert expected.stopped == "early"
    done = (stop_at - 1) // (STEPS + 1)
    assert done < len(expected.epochs)
    interrupted(
        tmp_path,
        stop_at,
        done=done,
        epochs=40,
        patience=2,
        learning_rate=0.5,
        validated=True,
    )
    history = train(
        resumed, sampler(), settings, seed=0, validation=validation, checkpoint=tmp_path, run=RUN
    )
    assert told(history) == told(expected)
    assert differing(resumed, unbroken) == []


def test_the_best_weights_are_remembered_over_a_break(tmp_path: Path) -> None:
    class Stopped(Walker):
        """Walks past its goal, and is hit by Ctrl-C there."""

        def loss(self, batch: Any) -> dict[str, torch.Tensor]:
            if self.place > 0.7:
                raise KeyboardInterrupt
            return super().loss(batch)

    validation, settings = sampler("validation"), loop(100, patience=8)
    unbroken, resumed = Walker(), Walker()
    expected = train(unbroken, sampler(), settings, seed=0, validation=validation)
    with pytest.warns(UserWarning, match="training was interrupted"):
        first = train(
            Stopped(), sampler(), settings, seed=0, validation=validation, checkpoint=tmp_path
        )
    assert first.best_epoch == expected.best_epoch
    assert len(first.epochs) < len(expected.epochs)
    history = train(
        resumed, sampler(), settings, seed=0, validation=validation, checkpoint=tmp_path
    )
    assert told(history) == told(expected)
    assert differing(resumed, unbroken) == []


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    first, again = Toy(), Toy(seed=7)
    expected = train(first, sampler(), loop(), seed=0, checkpoint=tmp_path, run=RUN)
    history = train(again, sampler(), loop(), seed=0, checkpoint=tmp_path, run=RUN)
    assert history == expected
    assert again.calls == 0
    assert differing(again, first) == []
    assert not again.training


def test_checkpoints_are_no_more_frequent_than_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from octis_m3l.training import loop as module

    written: list[int] = []
    write = module.write_checkpoint

    def counting(folder: Path, *arguments: Any) -> None:
        written.append(len(arguments[-1]["history"]["epochs"]))
        write(folder, *arguments)

    monkeypatch.setattr(module, "write_checkpoint", counting)
    train(Toy(), sampler(), loop(checkpoint_seconds=1e6), seed=0, checkpoint=tmp_path / "a")
    assert written == [5]
    train(Toy(), sampler(), loop(), seed=0, checkpoint=tmp_path / "b")
    assert written == [5, 1, 2, 3, 4, 5]
    train(Toy(), sampler(), loop(), seed=0)
    assert written == [5, 1, 2, 3, 4, 5]


def test_one_file_is_written_and_nothing_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there"
    train(Toy(), sampler(), loop(), seed=0, checkpoint=folder, run=RUN)
    assert [path.name for path in folder.iterdir()] == ["checkpoint.safetensors"]


@pytest.mark.parametrize(
    ("run", "seed", "differ"),
    [
        (RUN, 1, "seed"),
        ({**RUN, "topics": 4}, 0, "topics"),
        ({**RUN, "data": {"en": [22, 8]}}, 0, "data"),
        ({"topics": 3, "data": RUN["data"], "more": 1}, 2, "model, more, seed"),
        (None, 0, "data, model, topics"),
    ],
)
def test_the_checkpoint_of_another_run_is_refused(
    run: dict[str, Any] | None, seed: int, differ: str, tmp_path: Path
) -> None:
    train(Toy(), sampler(), loop(2), seed=0, checkpoint=tmp_path, run=RUN)
    network, before = Toy(seed=7), Toy(seed=7)
    message = (
        f"{tmp_path / FILE} belongs to another run: {differ} differ. Use the settings and data of "
        "that run, another checkpoint folder, or delete the file."
    )
    with pytest.raises(StorageError, match=f"^{re.escape(message)}$"):
        train(network, sampler(), loop(2), seed=seed, checkpoint=tmp_path, run=run)
    assert differing(network, before) == []


def test_a_run_is_the_same_when_json_says_so(tmp_path: Path) -> None:
    history = train(Toy(), sampler(), loop(2), seed=0, checkpoint=tmp_path, run={"a": (1, 2)})
    assert (
        train(Toy(), sampler(), loop(2), seed=0, checkpoint=tmp_path, run={"a": [1, 2]}) == history
    )


@pytest.mark.parametrize("kept", [0, 4, 60, 1000, -1])
def test_a_truncated_checkpoint_is_refused(kept: int, tmp_path: Path) -> None:
    train(Toy(), sampler(), loop(2), seed=0, checkpoint=tmp_path, run=RUN)
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes()[:kept])
    shown = re.escape(str(path))
    message = rf"^{shown} is no whole checkpoint \(.+\); delete it to start from the beginning\.$"
    with pytest.raises(StorageError, match=message):
        train(Toy(), sampler(), loop(2), seed=0, checkpoint=tmp_path, run=RUN)


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("network/", {}),
        ("", {"run": 3}),
        ("", {"history": {"epochs": 3, "cake": 1}}),
        ("", {"best_loss": "low"}),
    ],
)
def test_a_checkpoint_with_other_contents_is_refused(
    name: str, state: dict[str, Any], tmp_path: Path
) -> None:
    train(Toy(), sampler(), loop(2), seed=0, checkpoint=tmp_path, run=RUN)
    path = tmp_path / FILE
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    changed = next(key for key in tensors if key.startswith(name))
    tensors[changed] = tensors[changed].flatten()[:-1] if not state else tensors[changed] + 1
    save_file(tensors, path, metadata=metadata)
    with pytest.raises(StorageError, match=r"is no whole checkpoint \(its contents are not what"):
        train(Toy(), sampler(), loop(2), seed=0, checkpoint=tmp_path, run=RUN)
    # As versions without hashes wrote it.
    told = {"state": json.dumps(json.loads(metadata["state"]) | state)}
    save_file(tensors, path, metadata=told)
    with pytest.raises(StorageError, match=r"is no whole checkpoint \(.+\); delete it to start"):
        train(Toy(), sampler(), loop(3), seed=0, checkpoint=tmp_path, run=RUN)


@pytest.mark.parametrize("metadata", [None, {"state": "{"}, {"other": "1"}])
def test_a_file_of_another_program_is_refused(
    metadata: dict[str, str] | None, tmp_path: Path
) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / FILE, metadata=metadata)
    with pytest.raises(StorageError, match=r"is no whole checkpoint \(.+\); delete it to start"):
        train(Toy(), sampler(), loop(2), seed=0, checkpoint=tmp_path, run=RUN)


def test_a_break_while_writing_leaves_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from octis_m3l import files as module

    unbroken, resumed = Toy(), Toy(seed=7)
    expected = train(unbroken, sampler(), loop(), seed=0)
    save, calls = module.save_file, []

    def broken(tensors: Any, path: Path, metadata: dict[str, str]) -> None:
        calls.append(len(json.loads(metadata["state"])["history"]["epochs"]))
        if len(calls) == 3:
            path.write_bytes(b"half")
            raise KeyboardInterrupt
        save(tensors, path, metadata)

    monkeypatch.setattr(module, "save_file", broken)
    with pytest.warns(UserWarning, match="interrupted after 3 of 5 epochs"):
        train(Toy(), sampler(), loop(), seed=0, checkpoint=tmp_path, run=RUN)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    history = train(resumed, sampler(), loop(), seed=0, checkpoint=tmp_path, run=RUN)
    assert calls == [1, 2, 3, 3, 4, 5]
    assert told(history) == told(expected)
    assert differing(resumed, unbroken) == []


@pytest.mark.parametrize("place", ["_keep_whole", "_save", "_is_over"])
def test_a_break_between_two_epochs_leaves_no_trace(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from octis_m3l.training.loop import _Run

    unbroken, resumed = Toy(), Toy(seed=7)
    expected = train(unbroken, sampler(), loop(), seed=0)
    method, broken = getattr(_Run, place), []

    def interrupted(self: _Run) -> Any:
        if len(self.history.epochs) == 3 and not broken:
            broken.append(place)
            raise KeyboardInterrupt
        return method(self)

    monkeypatch.setattr(_Run, place, interrupted)
    with pytest.warns(UserWarning, match=r"interrupted after [23] of 5 epochs"):
        train(Toy(), sampler(), loop(), seed=0, checkpoint=tmp_path, run=RUN)
    assert broken
    history = train(resumed, sampler(), loop(), seed=0, checkpoint=tmp_path, run=RUN)
    assert told(history) == told(expected)
    assert differing(resumed, unbroken) == []

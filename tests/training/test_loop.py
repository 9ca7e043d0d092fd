"""The training loop: what it minimises, when it stops, how it is resumed."""

import re
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn, optim

from octis_m3l.data.batches import Batch
from octis_m3l.training import History, LoopSettings, derive_seed, reproducible, train
from octis_m3l.training.loop import TrainingError

from .toy import SIZES, STEPS, Toy, Walker, differing, loop, sampler, without_time

REMEDY = (
    "lower learning_rate (or raise temperature), and look for outliers: embeddings, or lengths of "
    "documents, that are out of proportion."
)


class Broken(Toy):
    """Returns a bad number in one term from a given call on."""

    def __init__(self, at: int, value: float, *, in_training: bool = True) -> None:
        super().__init__()
        self.at, self.value, self.in_training = at, value, in_training

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        terms = super().loss(batch)
        if self.calls >= self.at and self.training == self.in_training:
            terms["error"] = terms["error"] * self.value
        return terms


def test_the_same_seed_gives_the_same_network_bit_for_bit() -> None:
    first, second, third = Toy(), Toy(), Toy()
    history = train(first, sampler(), loop(), seed=3)
    torch.manual_seed(99)
    assert without_time(train(second, sampler(), loop(), seed=3)) == without_time(history)
    assert differing(first, second) == []
    assert train(third, sampler(), loop(), seed=4).epochs != history.epochs
    assert "inner.weight" in differing(first, third)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_it_is_a_plain_loop_with_adam(schedule: str) -> None:
    ours, plain = Toy(), Toy()
    own = {"schedule": schedule, "momentum": 0.7, "second_momentum": 0.9, "weight_decay": 0.1}
    settings = loop(4, **own)
    history = train(ours, sampler(), settings, seed=3)
    adam = optim.Adam(plain.parameters(), lr=0.05, betas=(0.7, 0.9), weight_decay=0.1)
    with torch.random.fork_rng():
        for epoch in range(4):
            torch.manual_seed(derive_seed(3, epoch, 2))
            share = (1 + np.cos(np.pi * epoch / 4)) / 2 if schedule == "cosine" else 1.0
            adam.param_groups[0]["lr"] = 0.05 * share
            totals = {"error": 0.0, "weight": 0.0}
            items = 0
            order = sampler().noise(3, epoch)
            for batch in sampler().epoch(order):
                terms = plain.loss(batch)
                adam.zero_grad()
                (terms["error"] + terms["weight"]).backward()
                adam.step()
                totals = {name: totals[name] + batch.size * terms[name].item() for name in totals}
                items += batch.size
            means = {name: total / items for name, total in totals.items()}
            assert history.epochs[epoch] == pytest.approx(means, rel=1e-4)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, rtol=1e-3, atol=1e-4)
    assert (history.stopped, history.best_epoch) == ("finished", None)
    assert history.epochs[-1]["error"] < history.epochs[0]["error"]
    assert history.seconds > 0
    assert not ours.training


def test_the_rate_is_halved_every_125_epochs() -> None:
    settings = LoopSettings(400, learning_rate=0.8, schedule="halving")
    assert [settings.rate(epoch) for epoch in (0, 124, 125, 250)] == [0.8, 0.8, 0.4, 0.2]


def test_validation_is_measured_without_learning_from_it_and_with_the_same_noise() -> None:
    class Noisy(Walker):
        def loss(self, batch: Batch) -> dict[str, Tensor]:
            if self.training:
                return {"loss": -self.place}
            return {"loss": torch.randn(()), "size": torch.tensor(float(batch.size))}

    with_it, without = Toy(), Toy()
    history = train(with_it, sampler(), loop(), seed=0, validation=sampler("validation", 9))
    plain = train(without, sampler(), loop(), seed=0)
    assert differing(with_it, without) == []
    for ours, theirs in zip(history.epochs, plain.epochs, strict=True):
        assert ours == {**theirs, "validation": ours["validation"]}
    with torch.no_grad():
        terms = with_it.loss(next(sampler("validation", 9).epoch(shuffle=False)))
    assert history.epochs[-1]["validation"] == pytest.approx(float(sum(terms.values())))
    assert history.best_epoch is None
    # Terms are weighed by the items of each batch.
    history = train(Noisy(), sampler(), loop(4), seed=0, validation=sampler())
    [measured] = {epoch["validation"] for epoch in history.epochs}
    torch.manual_seed(derive_seed(0, 0, 1))
    sizes = [8, 8, 6]
    weighed = [(float(torch.randn(())) + size) * size for size in sizes]
    assert measured == pytest.approx(sum(weighed) / sum(sizes), rel=1e-5)


# Early stopping.


@pytest.mark.parametrize("patience", [1, 3])
def test_early_stopping_keeps_the_best_weights(patience: int) -> None:
    network, validation = Walker(), sampler("validation", 9)
    settings = loop(100, patience=patience)
    history = train(network, sampler(), settings, seed=0, validation=validation)
    measured = [epoch["validation"] for epoch in history.epochs]
    best = int(np.argmin(measured))
    assert best > 0
    assert history.best_epoch == best
    assert history.stopped == "early"
    assert len(measured) == best + 1 + patience
    with torch.no_grad():
        found = network.loss(next(validation.epoch(shuffle=False)))["loss"].item()
    assert found == pytest.approx(measured[best])


def test_the_best_weights_are_kept_without_running_out_of_patience() -> None:
    stopped, short = Walker(), Walker()
    given: dict[str, Any] = {"seed": 0, "validation": sampler("validation")}
    history = train(stopped, sampler(), loop(100, patience=1), **given)
    found = train(short, sampler(), loop(len(history.epochs), patience=5), **given)
    assert found.stopped == "finished"
    assert found.best_epoch == history.best_epoch == len(found.epochs) - 2
    assert differing(short, stopped) == []
    # An equal loss is not a better one.
    equal = train(Walker(), sampler(), loop(9, patience=2, learning_rate=1e-30), **given)
    assert (equal.best_epoch, len(equal.epochs), equal.stopped) == (0, 3, "early")


# Scores that end a training.


def of_steps(network: nn.Module) -> tuple[float, int]:
    """Return a score that grows up to the ninth step and then falls; a step of Toy counts one."""
    steps = float(network.state_dict()["norm.num_batches_tracked"])
    return min(steps, 18 - steps) / 9, 1000


def scored(
    network: nn.Module, scores: Sequence[float], tuples: int = 1000
) -> Callable[[], tuple[float, int]]:
    """Return a function that returns one score after another, of a network that doesn't train."""
    left = iter(scores)

    def score() -> tuple[float, int]:
        assert not network.training
        return next(left), tuples

    return score


@pytest.mark.parametrize(
    ("epochs", "scored_after"),
    [
        (1, [1]),
        (3, [1, 2, 3]),
        (20, list(range(1, 21))),
        (21, [2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 21]),
        (60, list(range(3, 61, 3))),
        (95, list(range(5, 96, 5))),
    ],
)
def test_about_twenty_scores_are_measured_and_change_nothing(
    epochs: int, scored_after: list[int]
) -> None:
    with_them, without = Toy(), Toy()
    # They are no losses: it is no matter how large they become.
    score = scored(with_them, [10.0**number for number in range(len(scored_after))])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        history = train(with_them, sampler(), loop(epochs), seed=0, score=score)
    plain = train(without, sampler(), loop(epochs), seed=0)
    assert [n for n, epoch in enumerate(history.epochs, 1) if "score" in epoch] == scored_after
    for epoch in history.epochs:
        epoch.pop("score", None)
    assert history.epochs == plain.epochs
    assert differing(with_them, without) == []
    assert (history.best_epoch, history.stopped) == (epochs - 1, "finished")


@pytest.mark.parametrize("every", [1, 5])
def test_a_training_ends_after_five_scores_that_are_too_low(every: int) -> None:
    # Those up to 0.02 below the best of all are not too low, and the last of them is kept.
    scores = [0.5, 0.4, 0.9, 0.7, 0.885, 0.81, 0.86, 0.6, 0.3, 0.881, 0.6, 0.1, 0.87, 0.2, 0.879]
    network, short = Toy(), Toy()
    score = scored(network, scores)
    history = train(network, sampler(), loop(20 * every), seed=0, score=score)
    kept = 10 * every
    assert (history.best_epoch, history.stopped) == (kept - 1, "early")
    assert [epoch["score"] for epoch in history.epochs if "score" in epoch] == scores
    assert len(history.epochs) == len(scores) * every
    train(short, sampler(), loop(kept), seed=0)
    assert differing(network, short) == []
    assert not network.training


def test_a_training_whose_last_scores_are_too_low_has_earlier_weights() -> None:
    network, short = Toy(), Toy()
    score = scored(network, [0.1, 0.2, 0.3, 0.25, 0.2])
    history = train(network, sampler(), loop(5), seed=0, score=score)
    assert (history.best_epoch, len(history.epochs), history.stopped) == (2, 5, "finished")
    train(short, sampler(), loop(3), seed=0)
    assert differing(network, short) == []


@pytest.mark.parametrize(
    ("tuples", "kept"), [(1, 9), (25, 8), (100, 7), (400, 6), (625, 5), (10_000, 5)]
)
def test_scores_on_few_tuples_are_too_low_if_they_are_much_lower(tuples: int, kept: int) -> None:
    # The largest standard error of a mean of 25 numbers from 0 to 1 is 0.1, of 400 it is 0.025.
    network = Toy()
    score = scored(network, [0.1, 0.3, 0.5, 0.9, 0.881, 0.876, 0.851, 0.801, 0.41], tuples)
    assert train(network, sampler(), loop(9), seed=0, score=score).best_epoch == kept - 1


# Losses that are no numbers, or too large.


@pytest.mark.parametrize(
    ("value", "shown"), [(float("nan"), "nan"), (float("inf"), "inf"), (-float("inf"), "-inf")]
)
def test_a_loss_that_is_not_finite_is_an_error(value: float, shown: str) -> None:
    message = f"the loss became {shown} in epoch 2 (term 'error'); {REMEDY}"
    with pytest.raises(TrainingError, match=f"^{re.escape(message)}$"):
        train(Broken(2 * STEPS, value), sampler(), loop(), seed=0)
    network = Broken(1, value, in_training=False)
    with pytest.raises(TrainingError, match=rf"became {shown} in epoch 1 \(term 'validation'\)"):
        train(network, sampler(), loop(), seed=0, validation=sampler("validation"))


def test_a_last_step_that_leaves_no_finite_weights_is_an_error() -> None:
    network = Toy()
    network.inner.weight.register_hook(lambda gradient: gradient * float("inf"))
    message = f"a weight became NaN or infinite in epoch 1 ('inner.weight'); {REMEDY}"
    with pytest.raises(TrainingError, match=f"^{re.escape(message)}$"):
        train(network, sampler(batch_size=SIZES[0]), loop(1), seed=0)


def test_a_loss_that_explodes_and_stays_finite_is_warned_of() -> None:
    class Climbs(Walker):
        """Its loss grows with each step by its goal."""

        def loss(self, batch: Batch) -> dict[str, Tensor]:
            prior = 1 + self.goal * self.place.detach() + 0 * self.place
            self.place.data += 1.0
            return {"error": torch.tensor(2.0), "prior": prior}

    message = (
        "training may have diverged: the loss ended at 42.09 (most of it 'prior', 40.09) and has "
        f"been as low as 3, so that topics may be meaningless; {REMEDY}"
    )
    with pytest.warns(UserWarning, match=f"^{re.escape(message)}$"):
        train(Climbs(10.0), sampler(), loop(2), seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(Climbs(0.1), sampler(), loop(2), seed=0)


# Interruptions.


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("stop_at", [3, 4, 12])
def test_a_resumed_training_is_an_uninterrupted_one(
    stop_at: int, schedule: str, tmp_path: Path
) -> None:
    whole, resumed = Toy(), Toy(seed=7 if stop_at > STEPS else 0)
    settings = loop(schedule=schedule)
    expected = train(whole, sampler(), settings, seed=0)
    done = (stop_at - 1) // STEPS
    with pytest.warns(UserWarning, match=f"^training was interrupted after {done} of 5 epochs; "):
        first = train(Toy(stop_at=stop_at), sampler(), settings, seed=0, checkpoint=tmp_path)
    assert first.epochs == expected.epochs[:done]
    assert first.stopped == "interrupted"
    history = train(resumed, sampler(), settings, seed=0, checkpoint=tmp_path)
    assert without_time(history) == without_time(expected)
    assert differing(resumed, whole) == []
    assert resumed.calls == (5 - done) * STEPS
    finished = Toy(seed=9)
    assert train(finished, sampler(), settings, seed=0, checkpoint=tmp_path) == history
    assert finished.calls == 0
    assert differing(finished, whole) == []
    with pytest.raises(ValueError, match="belongs to another run: seed differ"):
        train(Toy(), sampler(), settings, seed=1, checkpoint=tmp_path)


def test_early_stopping_and_the_best_weights_survive_an_interruption(tmp_path: Path) -> None:
    whole, stopped, resumed = Walker(), Walker(stop_at=0.7), Walker()
    given: dict[str, Any] = {"seed": 0, "validation": sampler("validation")}
    settings = loop(100, patience=8)
    expected = train(whole, sampler(), settings, **given)
    with pytest.warns(UserWarning, match="training was interrupted"):
        first = train(stopped, sampler(), settings, checkpoint=tmp_path, **given)
    assert first.best_epoch == expected.best_epoch
    assert len(first.epochs) < len(expected.epochs)
    assert differing(stopped, whole) == []
    history = train(resumed, sampler(), settings, checkpoint=tmp_path, **given)
    assert without_time(history) == without_time(expected)
    assert differing(resumed, whole) == []


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("done", [1, 2, 3, 4, 7])
def test_scores_and_the_weights_they_chose_survive_an_interruption(
    done: int, schedule: str, tmp_path: Path
) -> None:
    def trained(network: nn.Module, **options: Any) -> History:
        score = partial(of_steps, network)
        return train(network, sampler(), settings, seed=0, score=score, **options)

    settings = loop(20, schedule=schedule)
    whole, resumed, without = Toy(), Toy(seed=7), Toy(stop_at=STEPS * done + 2)
    expected = trained(whole)
    # After three epochs of three steps the score falls.
    assert (expected.best_epoch, len(expected.epochs), expected.stopped) == (2, 8, "early")
    stopped = Toy(stop_at=STEPS * done + 2)
    with pytest.warns(UserWarning, match=f"^training was interrupted after {done} of 20 epochs; "):
        first = trained(stopped, checkpoint=tmp_path)
    assert first.epochs == expected.epochs[:done]
    assert (first.best_epoch, first.stopped) == (min(done - 1, 2), "interrupted")
    assert (differing(stopped, whole) == []) is (done > 2)
    history = trained(resumed, checkpoint=tmp_path)
    assert without_time(history) == without_time(expected)
    assert differing(resumed, whole) == []
    assert resumed.calls == (8 - done) * STEPS
    # Without a checkpoint, too, it has the weights that the history says.
    with pytest.warns(UserWarning, match="training was interrupted"):
        trained(without)
    assert differing(without, stopped) == []


def test_without_a_checkpoint_an_interrupted_network_keeps_what_it_has() -> None:
    network, whole = Toy(stop_at=2 * STEPS + 1), Toy()
    with pytest.warns(UserWarning, match="training was interrupted after 2 of 5 epochs"):
        history = train(network, sampler(), loop(), seed=0)
    assert history.stopped == "interrupted"
    assert history.epochs == train(whole, sampler(), loop(2), seed=0).epochs
    assert differing(network, whole) == []
    assert not network.training


# Other things that networks may do.


def test_batches_without_a_gradient_are_skipped_and_frozen_weights_stay() -> None:
    class Half(Toy):
        """Learns from every second batch."""

        def loss(self, batch: Batch) -> dict[str, Tensor]:
            terms = super().loss(batch)
            return terms if self.calls % 2 else {name: torch.ones(()) for name in terms}

    network = Half()
    network.outer.weight.requires_grad_(False)
    history = train(network, sampler(), loop(2), seed=0)
    assert len(history.epochs) == 2
    changed = differing(network, Toy())
    assert "inner.weight" in changed
    assert "outer.weight" not in changed


def test_progress_is_shown_only_when_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    train(Toy(), sampler(), loop(2), seed=0)
    assert capfd.readouterr() == ("", "")
    train(Toy(), sampler(), loop(2), seed=0, progress=True)
    shown = capfd.readouterr()
    assert shown.out == ""
    for part in ("training: 100%", "2/2", "error="):
        assert part in shown.err


# Seeds.


def test_derived_seeds_are_the_same_in_every_version_and_in_range() -> None:
    assert [derive_seed(0), derive_seed(0, 1), derive_seed(1, 0), derive_seed(7, 3, 2)] == [
        1484405855,
        336614359,
        820705584,
        2007262694,
    ]
    found = {derive_seed(seed, a, b) for seed in range(5) for a in range(10) for b in range(10)}
    found |= {derive_seed(seed, a) for seed in range(5) for a in range(10)}
    found |= {derive_seed(2**64, 2**32 - 1)}
    assert len(found) == 551
    assert all(type(seed) is int and 0 <= seed < 2**31 for seed in found)


def test_the_global_state_is_restored() -> None:
    state = torch.get_rng_state()
    with reproducible(torch.device("cpu")):
        torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(RuntimeError, match="stop"), reproducible(torch.device("cpu")):
        torch.manual_seed(2)
        raise RuntimeError("stop")
    assert torch.equal(torch.get_rng_state(), state)

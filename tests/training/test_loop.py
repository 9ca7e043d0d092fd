"""The training loop: what it minimises, when it stops, what it leaves behind."""

import re
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, optim

from octis_m3l.data.batches import Batch, TupleSampler
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.views import ImageView, TextView
from octis_m3l.models.m3l_contrast import M3LContrastNetwork, M3LContrastSettings
from octis_m3l.training import LoopSettings, derive_seed, train
from octis_m3l.training.loop import TrainingError

from .toy import (
    BATCH,
    SIZES,
    STEPS,
    Toy,
    Walker,
    dataset,
    differing,
    loop,
    sampler,
    told,
    weights,
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
    assert told(train(second, sampler(), loop(), seed=3)) == told(history)
    assert differing(first, second) == []
    assert train(third, sampler(), loop(), seed=4).epochs != history.epochs
    assert "inner.weight" in differing(first, third)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_it_is_a_plain_loop_with_adam(schedule: str) -> None:
    ours, plain = Toy(), Toy()
    settings = LoopSettings(
        4,
        learning_rate=0.05,
        schedule=schedule,
        momentum=0.7,
        second_momentum=0.9,
        weight_decay=0.1,
    )
    history = train(ours, sampler(), settings, seed=3)
    adam = optim.Adam(plain.parameters(), lr=0.05, betas=(0.7, 0.9), weight_decay=0.1)
    with torch.random.fork_rng():
        for epoch in range(4):
            torch.manual_seed(derive_seed(3, epoch))
            share = (1 + np.cos(np.pi * epoch / 4)) / 2 if schedule == "cosine" else 1.0
            adam.param_groups[0]["lr"] = 0.05 * share
            totals = {"error": 0.0, "weight": 0.0}
            items = 0
            for batch in sampler().epoch():
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


def test_the_history_of_a_finished_run() -> None:
    network = Toy()
    history = train(network, sampler(), loop(), seed=0)
    assert [sorted(epoch) for epoch in history.epochs] == [["error", "weight"]] * 5
    assert all(type(value) is float for epoch in history.epochs for value in epoch.values())
    assert history.epochs[-1]["error"] < history.epochs[0]["error"]
    assert history.stopped == "finished"
    assert history.best_epoch is None
    assert history.seconds > 0
    assert not network.training


def test_validation_is_measured_without_learning_from_it() -> None:
    with_it, without = Toy(), Toy()
    history = train(with_it, sampler(), loop(), seed=0, validation=sampler("validation"))
    plain = train(without, sampler(), loop(), seed=0)
    assert differing(with_it, without) == []
    for ours, theirs in zip(history.epochs, plain.epochs, strict=True):
        assert ours == {**theirs, "validation": ours["validation"]}
    with torch.no_grad():
        terms = with_it.loss(next(sampler("validation").epoch(shuffle=False)))
    assert history.epochs[-1]["validation"] == pytest.approx(
        sum(term.item() for term in terms.values())
    )
    assert history.stopped == "finished"
    assert history.best_epoch is None


@pytest.mark.parametrize("patience", [1, 3])
def test_early_stopping_keeps_the_best_weights(patience: int) -> None:
    network, validation = Walker(), sampler("validation")
    settings = loop(100, patience=patience)
    history = train(network, sampler(), settings, seed=0, validation=validation)
    measured = [epoch["validation"] for epoch in history.epochs]
    best = int(np.argmin(measured))
    assert best > 0
    assert history.best_epoch == best
    assert history.stopped == "early"
    assert len(measured) == best + 1 + patience
    assert measured[best:] == sorted(measured[best:])
    assert not network.training
    with torch.no_grad():
        found = network.loss(next(validation.epoch(shuffle=False)))["loss"].item()
    assert found == pytest.approx(measured[best])


def test_too_few_epochs_for_patience_still_keep_the_best_weights() -> None:
    unbroken = Walker()
    history = train(
        unbroken, sampler(), loop(100, patience=1), seed=0, validation=sampler("validation")
    )
    short = Walker()
    found = train(
        short,
        sampler(),
        loop(len(history.epochs), patience=5),
        seed=0,
        validation=sampler("validation"),
    )
    assert found.stopped == "finished"
    assert found.best_epoch == history.best_epoch == len(found.epochs) - 2
    assert differing(short, unbroken) == []


def test_an_equal_loss_is_not_a_better_one() -> None:
    history = train(
        Walker(),
        sampler(),
        loop(100, patience=2, learning_rate=1e-30),
        seed=0,
        validation=sampler("validation"),
    )
    assert (history.best_epoch, len(history.epochs), history.stopped) == (0, 3, "early")


@pytest.mark.parametrize(
    ("value", "shown"), [(float("nan"), "nan"), (float("inf"), "inf"), (-float("inf"), "-inf")]
)
def test_a_loss_that_is_no_number_is_an_error(value: float, shown: str) -> None:
    message = (
        f"the loss became {shown} in epoch 2 (term 'error'); lower learning_rate (or raise "
        "temperature), and look for outliers: embeddings, or lengths of documents, that are out of "
        "proportion."
    )
    with pytest.raises(TrainingError, match=f"^{re.escape(message)}$"):
        train(Broken(2 * STEPS, value), sampler(), loop(), seed=0)


def test_a_validation_loss_that_is_no_number_is_an_error() -> None:
    network = Broken(1, float("nan"), in_training=False)
    with pytest.raises(TrainingError, match=r"became nan in epoch 1 \(term 'validation'\)"):
        train(network, sampler(), loop(), seed=0, validation=sampler("validation"))


def test_a_last_step_that_leaves_no_finite_weights_is_an_error() -> None:
    network = Toy()
    network.inner.weight.register_hook(lambda gradient: gradient * float("inf"))
    settings = loop(1)
    message = (
        "a weight became NaN or infinite in epoch 1 ('inner.weight'); lower learning_rate (or "
        "raise temperature), and look for outliers: embeddings, or lengths of documents, that are "
        "out of proportion."
    )
    data = TupleSampler(dataset(), "train", {"en": np.zeros((sum(SIZES), 4))}, SIZES[0])
    with pytest.raises(TrainingError, match=f"^{re.escape(message)}$"):
        train(network, data, settings, seed=0)


def test_a_loss_that_explodes_and_stays_finite_is_warned_of() -> None:
    class Climbs(Walker):
        """Its loss grows with each step by what it is told."""

        def loss(self, batch: Batch) -> dict[str, Tensor]:
            prior = 1 + self.goal * self.place.detach() + 0 * self.place
            self.place.data += 1.0
            return {"error": torch.tensor(2.0), "prior": prior}

    message = (
        r"^training may have diverged: the loss ended at 42.09 \(most of it 'prior', 40.09\) and "
        r"has been as low as 3, so that topics may be meaningless; lower learning_rate \(or raise "
    )
    with pytest.warns(UserWarning, match=message):
        train(Climbs(10.0), sampler(), loop(2), seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(Climbs(0.1), sampler(), loop(2), seed=0)


def test_validation_sees_the_same_noise_in_every_epoch_and_weighs_items() -> None:
    class Noisy(Walker):
        def loss(self, batch: Batch) -> dict[str, Tensor]:
            if self.training:
                return {"loss": -self.place}
            return {"loss": torch.randn(()), "size": torch.tensor(float(batch.size))}

    batches = TupleSampler(dataset(), "train", {"en": np.zeros((sum(SIZES), 4))}, BATCH)
    history = train(Noisy(), sampler(), loop(4), seed=0, validation=batches)
    measured = [epoch["validation"] for epoch in history.epochs]
    assert len(set(measured)) == 1
    sizes = [8, 8, 6]
    mean = sum(size * size for size in sizes) / sum(sizes)
    assert measured[0] != pytest.approx(mean)
    torch.manual_seed(derive_seed(0, 0, 1))
    noise = [float(torch.randn(())) for _ in sizes]
    drawn = sum(n * size for n, size in zip(noise, sizes, strict=True)) / sum(sizes)
    assert measured[0] == pytest.approx(mean + drawn, rel=1e-5)


def test_an_interrupted_network_keeps_what_it_has_learned() -> None:
    network, whole = Toy(stop_at=2 * STEPS + 1), Toy()
    message = (
        "training was interrupted after 2 of 5 epochs; the model keeps what it has learned so far."
    )
    with pytest.warns(UserWarning, match=f"^{re.escape(message)}$"):
        history = train(network, sampler(), loop(), seed=0)
    expected = train(whole, sampler(), loop(2), seed=0)
    assert history.stopped == "interrupted"
    assert history.epochs == expected.epochs
    assert differing(network, whole) == []
    assert not network.training


def test_an_interrupted_network_with_patience_has_its_best_weights() -> None:
    class Stopped(Walker):
        """Walks past its goal, and is hit by Ctrl-C there."""

        def loss(self, batch: Batch) -> dict[str, Tensor]:
            if self.place > 0.7:
                raise KeyboardInterrupt
            return super().loss(batch)

    network, whole = Stopped(), Walker()
    settings, validation = loop(100, patience=50), sampler("validation")
    with pytest.warns(UserWarning, match="training was interrupted"):
        history = train(network, sampler(), settings, seed=0, validation=validation)
    assert history.best_epoch is not None
    train(whole, sampler(), loop(history.best_epoch + 1), seed=0, validation=validation)
    assert history.best_epoch < len(history.epochs) - 1
    assert torch.equal(network.place, whole.place)


@pytest.mark.parametrize("end", ["finished", "interrupted", "error"])
def test_the_global_random_state_is_left_as_it_was(end: str) -> None:
    networks: dict[str, Toy] = {
        "finished": Toy(),
        "interrupted": Toy(stop_at=5),
        "error": Broken(2, float("nan")),
    }
    state = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            outcome = train(networks[end], sampler(), loop(), seed=0).stopped
        except TrainingError:
            outcome = "error"
    assert outcome == end
    assert torch.equal(torch.get_rng_state(), state)


def test_a_batch_that_has_nothing_to_learn_from_is_passed_over() -> None:
    class Half(Toy):
        """Learns from every second batch."""

        def loss(self, batch: Batch) -> dict[str, Tensor]:
            terms = super().loss(batch)
            return terms if self.calls % 2 else {name: torch.ones(()) for name in terms}

    network = Half()
    before = weights(network)
    history = train(network, sampler(), loop(2), seed=0)
    assert len(history.epochs) == 2
    assert not torch.equal(network.inner.weight, before["inner.weight"])


def gappy(count: int = 9) -> MultiviewDataset:
    """Return tuples that have a German document or a picture, but never two of them."""
    texts = TextView(
        name="de",
        sizes=(count, 0, 0),
        vocabulary=("a", "b"),
        token_ids=np.arange(count, dtype=np.int32) % 2,
        offsets=np.arange(count + 1),
    )
    random = np.random.default_rng(0)
    images = ImageView(
        name="image",
        sizes=(count, 0, 0),
        embeddings=random.normal(size=(count, 3)).astype(np.float32),
    )
    return MultiviewDataset([texts, images])


def test_tuples_with_gaps_in_batches_of_two_can_be_trained_on() -> None:
    data, random = gappy(), np.random.default_rng(0)
    embeddings: dict[str, Any] = {
        "de": random.normal(size=(9, 4)).astype(np.float32),
        "image": data.view("image").embeddings,
    }
    batches = TupleSampler(data, "train", embeddings, 2)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        assert {len(batch.views) for batch in batches.epoch()} == {0, 1}
        settings = M3LContrastSettings(num_topics=2, hidden_size=4, batch_size=2)
        network = M3LContrastNetwork({"de": 4, "image": 3}, {"de": 2}, settings)
    history = train(network, batches, LoopSettings(5), seed=0)
    assert history.stopped == "finished"
    assert all(value.isfinite().all() for value in network.state_dict().values())


def test_progress_is_shown_only_when_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    train(Toy(), sampler(), loop(2), seed=0)
    assert capfd.readouterr() == ("", "")
    train(Toy(), sampler(), loop(2), seed=0, progress=True)
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "training: 100%" in shown.err
    assert "2/2" in shown.err


def test_frozen_weights_stay() -> None:
    network = Toy()
    network.inner.weight.requires_grad_(False)
    before = weights(network)
    train(network, sampler(), loop(2), seed=0)
    assert torch.equal(network.inner.weight, before["inner.weight"])
    assert not torch.equal(network.outer.weight, before["outer.weight"])


def test_the_toy_has_the_batches_that_these_tests_count_on() -> None:
    assert len(sampler()) == STEPS
    assert len(sampler("validation")) == 1
    assert [batch.size for batch in sampler().epoch()] == [8, 8, SIZES[0] - 16]

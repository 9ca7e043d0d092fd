"""Steps of fixed shapes, which a GPU replays: the same losses as steps on the items there are."""

import copy
import math
import warnings
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import torch
from planted import Planted, planted
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from octis_m3l.data.batches import Sampler
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.models import NMTM, GloCTM, InfoCTM, M3LContrast, ZeroshotTM, ZeroshotTMKD
from octis_m3l.models.embeddings import ViewNetwork
from octis_m3l.training.adam import Adam
from octis_m3l.training.steps import EagerSteps, FixedSteps, Steps, steps_of

SEED, LEAST_STEPS = 3, 50
SMALL: dict[str, Any] = {"num_topics": 4, "batch_size": 16, "hidden_size": 12, "epochs": 1}
Case = tuple[nn.Module, Sampler]


class ReachedError(Exception):
    """Training would begin."""


def about_to_train(model: Any, dataset: MultiviewDataset, patch: pytest.MonkeyPatch) -> Case:
    """Return the network and the sampler that a model would train with, in double precision."""
    found: list[Any] = []

    def reached(network: nn.Module, sampler: Sampler, *_: Any, **__: Any) -> None:
        found.extend([network, sampler])
        raise ReachedError

    patch.setattr("octis_m3l.models.neural.train", reached)
    with pytest.raises(ReachedError):
        model.train_model(dataset)
    network, sampler = found
    for tensors in sampler.tensors.values():
        for name in ("_counts", "_totals"):
            if hasattr(tensors, name):
                setattr(tensors, name, getattr(tensors, name).double())
    return network.double().train(), sampler


def epochs_of(kind: type[Steps], case: Case, **given: Any) -> tuple[list[Any], dict[str, Tensor]]:
    """Return each epoch's losses, and what the network then says of items and topics."""
    network, sampler = copy.deepcopy(case[0]), case[1]
    trained = [p for p in network.parameters() if p.requires_grad]
    steps = kind(network, sampler, Adam(trained, lr=2e-3, betas=(0.9, 0.99)), **given)
    numbers = range(-(-LEAST_STEPS // len(sampler)))
    losses = [steps.epoch(sampler.noise(SEED, number)) for number in numbers]
    assert steps.untrained is not None
    said, net = {"untrained": steps.untrained}, cast(Any, network.eval())
    with torch.no_grad():
        said |= {f"topics/{name}": words for name, words in net.topic_words().items()}
        for name, tensors in sampler.tensors.items():
            items = sampler.visited(name)
            read = tensors.embeddings if isinstance(net, ViewNetwork) else tensors.words
            said[f"posterior/{name}"] = torch.cat(net.posterior(name, read(items)), dim=1)
    counts = {n: value for n, value in net.state_dict().items() if n.endswith("tracked")}
    return losses, said | counts


def assert_equal_steps(case: Case) -> None:
    """Assert that both kinds of steps have the same losses and networks."""
    losses, said = epochs_of(EagerSteps, case)
    fixed, of_fixed = epochs_of(FixedSteps, case, captured=False)
    for one, other in zip(losses, fixed, strict=True):
        assert other == pytest.approx(one, rel=1e-8)
    assert losses[-1] != losses[0]
    assert said.keys() == of_fixed.keys()
    for name, value in said.items():
        # Biases before batch normalisation have gradients of rounding errors, which Adam scales up.
        torch.testing.assert_close(of_fixed[name], value, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize("average", ["pooled", "present", "batch"])
@pytest.mark.parametrize("missing", [0.0, 0.6, {"en": 0.1, "de": 0.97}])
@pytest.mark.parametrize("shared", ["none", "auto"])
def test_m3l_contrast(
    shared: str, missing: Any, average: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = planted(missing=missing, tuples=80, shares=(0.8, 0.1)).dataset
    own = {"average": average, "shared_networks": shared, "alignment_weight": 0.1}
    model = M3LContrast(**SMALL | own | {"batch_size": 7})
    case = about_to_train(model, dataset, monkeypatch)
    assert case[1].rows % 7 == 1
    if missing == {"en": 0.1, "de": 0.97}:
        found = [len(batch.views) for batch in case[1].epoch()]
        assert min(found) < 3
    assert_equal_steps(case)


@pytest.mark.parametrize("preset", ["paper", "released-m3l", "0.1"])
def test_presets(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = planted(missing=0.3).dataset
    assert_equal_steps(about_to_train(M3LContrast(**SMALL, preset=preset), dataset, monkeypatch))


@pytest.mark.parametrize("model", [ZeroshotTM, ZeroshotTMKD])
def test_zeroshot_models(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # Where nothing is missing: the losses of these models have no masks.
    trained = [model(**SMALL)]
    if model is ZeroshotTMKD:
        teacher = ZeroshotTM(**SMALL)
        teacher.train_model(planted().dataset, top_words=3)
        trained[0].teacher = teacher
    assert_equal_steps(about_to_train(trained[0], planted().dataset, monkeypatch))


@pytest.fixture(scope="module")
def tied() -> MultiviewDataset:
    """Return unlinked languages with word vectors of one space, and a dictionary."""
    data: Planted = planted(("en", "de", "fi"), images=False, missing=0.2)
    texts = data.dataset.with_views(["en", "de", "fi"])
    vectors = {
        name: np.random.default_rng(number).normal(size=(len(view.vocabulary), 8))
        for number, (name, view) in enumerate(texts.text_views.items())
    }
    vectors["de"][3] = 0
    texts = texts.with_word_vectors(vectors)
    for other in ("de", "fi"):
        words = [texts.text_view(name).vocabulary for name in ("en", other)]
        texts = texts.with_dictionary("en", other, list(zip(*words, strict=False))[:12])
    return texts


@pytest.mark.parametrize("model", [GloCTM, InfoCTM, NMTM])
def test_models_of_unlinked_languages(
    model: Any, tied: MultiviewDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {"encoder": "word-vectors", "global_hidden_size": 12} if model is GloCTM else {}
    assert_equal_steps(about_to_train(model(**SMALL | own | {"dropout": 0.3}), tied, monkeypatch))


@pytest.mark.parametrize("preset", ["default", "0.1", "paper", "released-m3l"])
def test_rows_without_an_item_stay_finite_in_single_precision(
    preset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = planted(missing={"en": 0.1, "de": 0.97}, tuples=80, shares=(0.8, 0.1)).dataset
    model = M3LContrast(**SMALL | {"batch_size": 7, "preset": preset})
    network, sampler = about_to_train(model, dataset, monkeypatch)
    found = [
        epochs_of(kind, (network.float(), sampler), **given)[0]
        for kind, given in ((EagerSteps, {}), (FixedSteps, {"captured": False}))
    ]
    for one, other in zip(*found, strict=True):
        assert other == pytest.approx(one, rel=0.02)
        assert all(map(math.isfinite, other.values()))


class Refusing(TorchDispatchMode):
    """Refuses what a captured step may not do: shapes or numbers that the data decide."""

    forbidden = frozenset(
        {
            torch.ops.aten._local_scalar_dense.default,
            torch.ops.aten.nonzero.default,
            torch.ops.aten.masked_select.default,
            torch.ops.aten.bincount.default,
            torch.ops.aten.repeat_interleave.Tensor,
            torch.ops.aten._unique2.default,
        }
    )

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        masks = [
            index.dtype
            for one in args
            if isinstance(one, list | tuple)
            for index in one
            if isinstance(index, Tensor)
        ]
        by_mask = func is torch.ops.aten.index.Tensor and torch.bool in masks
        if func in self.forbidden or by_mask:
            raise AssertionError(f"{func} in a step")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("preset", ["default", "0.1", "paper", "released-multilingual"])
@pytest.mark.parametrize("missing", [0.0, {"en": 0.3}])
def test_m3l_contrast_reads_nothing_back(
    preset: str, missing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = about_to_train(
        M3LContrast(**SMALL, preset=preset), planted(missing=missing).dataset, monkeypatch
    )
    assert_reads_nothing_back(case)


@pytest.mark.parametrize("model", [ZeroshotTM, ZeroshotTMKD, GloCTM, InfoCTM, NMTM])
def test_other_models_read_nothing_back(
    model: Any, tied: MultiviewDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {"encoder": "word-vectors", "global_hidden_size": 12} if model is GloCTM else {}
    trained, dataset = model(**SMALL | own), tied
    if model in (ZeroshotTM, ZeroshotTMKD):
        dataset = planted().dataset
    if model is ZeroshotTMKD:
        trained.teacher = ZeroshotTM(**SMALL)
        trained.teacher.train_model(dataset, top_words=3)
    assert_reads_nothing_back(about_to_train(trained, dataset, monkeypatch))


def assert_reads_nothing_back(case: Case) -> None:
    """Assert that a step, once one has run, does nothing that a CUDA graph refuses."""
    network, sampler = case
    trained = [p for p in network.parameters() if p.requires_grad]
    optimizer = Adam(trained, lr=2e-3, betas=(0.9, 0.99))
    steps = FixedSteps(network, sampler, optimizer, captured=False)
    steps.epoch(sampler.noise(SEED, 0))
    with Refusing():
        for size in {*steps.batches.sizes()}:
            steps._first.zero_()
            steps._step(size)


# What a GPU would do, with a graph that does the step when it is replayed.


@pytest.fixture
def replayed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list of what is done: steps as they are, captures and replays."""
    done: list[str] = []

    class Graph:
        def __init__(self, step: Callable[[], None]) -> None:
            self.step = step
            done.append("captured")

        def replay(self) -> None:
            done.append("replayed")
            self.step()

    def eager(step: Callable[[], None]) -> None:
        done.append("eager")
        step()

    monkeypatch.setattr("octis_m3l.training.steps.captured_graph", Graph)
    monkeypatch.setattr("octis_m3l.training.steps.on_side_stream", eager)
    return done


def test_each_size_of_batch_has_a_graph(
    replayed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    case = about_to_train(M3LContrast(**SMALL), planted(missing=0.2).dataset, monkeypatch)
    batches = len(case[1])
    assert case[1].rows % 16 not in (0, 1)
    expected, said = epochs_of(FixedSteps, case, captured=False)
    assert replayed == []
    found, of_replayed = epochs_of(FixedSteps, case, captured=True)
    assert found == expected
    for name, value in said.items():
        assert torch.equal(of_replayed[name], value), name
    # Three steps of the larger size, and three epochs' last batches.
    assert replayed.count("captured") == 2
    assert replayed.count("eager") == 6
    assert len(replayed) - 2 == batches * len(expected)


def test_a_step_that_can_not_be_captured_goes_on_as_it_is(
    replayed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(step: Callable[[], None]) -> None:
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nSearch")

    case = about_to_train(ZeroshotTM(**SMALL), planted().dataset, monkeypatch)
    expected, _ = epochs_of(FixedSteps, case, captured=False)
    monkeypatch.setattr("octis_m3l.training.steps.captured_graph", fails)
    with pytest.warns(UserWarning, match="training goes on step by step") as warned:
        found, _ = epochs_of(FixedSteps, case, captured=True)
    assert found == expected
    [said] = [str(one.message) for one in warned if "step by step" in str(one.message)]
    assert said.endswith("graph (CUDA error: operation not permitted when stream is capturing).")


class OnGPU:
    """A sampler that says that it is on a GPU."""

    device = torch.device("cuda")

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sampler, name)


def test_steps_are_captured_on_a_gpu_unless_something_forbids_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def kind_of(model: Any, data: MultiviewDataset) -> type[Steps]:
        network, sampler = about_to_train(model, data, monkeypatch)
        with monkeypatch.context() as patch:
            # Made on the CPU.
            patch.setattr(FixedSteps, "__init__", lambda *_, **__: None)
            given: Any = OnGPU(sampler)
            assert isinstance(steps_of(network, sampler, optim), EagerSteps)
            return type(steps_of(network, given, optim))

    optim: Any = None
    gaps, whole = planted(missing=0.2).dataset, planted().dataset
    teacher = ZeroshotTM(**SMALL)
    teacher.train_model(whole, top_words=3)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*captured")
        assert kind_of(M3LContrast(**SMALL), gaps) is FixedSteps
        assert kind_of(ZeroshotTM(**SMALL), gaps) is FixedSteps
        assert kind_of(ZeroshotTM(**SMALL), whole) is FixedSteps
    assert kind_of(ZeroshotTMKD(**SMALL, teacher=teacher), whole) is FixedSteps
    said = "not captured as a CUDA graph, which is slower, since its loss has no masks for missing"
    monkeypatch.setattr(M3LContrast.network_class, "takes_masks", False)
    with pytest.warns(UserWarning, match=said):
        assert kind_of(M3LContrast(**SMALL), gaps) is EagerSteps


def test_embeddings_that_stay_on_disk_are_not_captured(monkeypatch: pytest.MonkeyPatch) -> None:
    network, sampler = about_to_train(M3LContrast(**SMALL), planted().dataset, monkeypatch)
    cast(Any, sampler.tensors["de"])._resident = None
    given: Any = OnGPU(sampler)
    optimizer = Adam(network.parameters(), lr=0.1, betas=(0.9, 0.99))
    with pytest.warns(UserWarning, match="since embeddings of de do not fit into memory at once"):
        assert isinstance(steps_of(network, given, optimizer), EagerSteps)

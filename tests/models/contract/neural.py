"""Models whose networks read embeddings: gaps, encoders, early stopping, checkpoints."""

import json
import shutil
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from planted import Planted, planted

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.text import TextPreprocessor
from octis_m3l.errors import DataError, OctisM3LError, SettingsError, StorageError
from octis_m3l.files import read_json
from octis_m3l.models import ModelOutput, load_model
from octis_m3l.models.base import NotTrainedError
from octis_m3l.models.storage import MARKER

from .base import Contract
from .helpers import (
    THETA,
    TOP_WORDS,
    Lengths,
    Losses,
    assert_distributions,
    assert_same,
    with_few_items,
)


class NeuralContract(Contract):
    """What a model promises whose networks read embeddings."""

    fast: ClassVar[dict[str, Any]] = {
        "num_topics": 4,
        "epochs": 2,
        "batch_size": 16,
        "hidden_size": 12,
    }

    @pytest.fixture(scope="class")
    def of_embeddings(self, embedded: MultiviewDataset) -> Any:
        """A model trained on given embeddings, to look at only."""
        model = self.make(encoder="given")
        model.train_model(embedded, top_words=TOP_WORDS)
        return model

    @pytest.fixture(scope="class")
    def checkpointed(self, planted_data: Planted, tmp_path_factory: Any) -> Path:
        """The checkpoints of two calls of one model."""
        folder: Path = tmp_path_factory.mktemp("checkpoint")
        model = self.make(checkpoint=folder)
        for _ in range(2):
            model.train_model(planted_data.dataset, top_words=TOP_WORDS)
        return folder

    def test_settings_of_training_out_of_range(self) -> None:
        wrong: dict[str, tuple[Any, str]] = {
            "batch_size": (1, "greater than or equal to 2"),
            "epochs": (0, "greater than or equal to 1"),
            "learning_rate": (0.0, "greater than 0"),
            "dropout": (1.0, "less than 1"),
            "inference_samples": (-1, "greater than or equal to 0"),
        }
        with pytest.raises(SettingsError) as raised:
            self.model(**{name: value for name, (value, _) in wrong.items()})
        for name, (value, expected) in wrong.items():
            assert f"{name}={value}: Input should be {expected}." in str(raised.value)

    def test_what_does_not_fit_the_data_or_the_machine(self, planted_data: Planted) -> None:
        data = planted_data.dataset
        with pytest.raises(DataError, match=r"batch_size=256 is larger than the data: \d+ tuples"):
            self.train(data, batch_size=256)
        with pytest.raises(SettingsError, match=r"device='nonsense' can't be used here .* 'cpu'"):
            self.train(data, device="nonsense")
        expected = "patience=3: early stopping needs a validation partition, and the data set has"
        with pytest.raises(SettingsError, match=expected):
            self.train(data.with_split(0.8, 0.0), patience=3)
        model = self.make(patience=3)
        model.partitioning(False)
        with pytest.raises(SettingsError, match=expected):
            model.train_model(data, top_words=TOP_WORDS)

    @pytest.mark.parametrize("batch_size", [2, 3, 4])
    def test_gaps_in_small_batches(self, batch_size: int) -> None:
        # 13 tuples: with 2, 3 and 4 in a batch, one is left over for the last.
        data = planted(tuples=13, missing=0.6, shares=(1.0, 0.0), seed=2).dataset
        assert len(data.partition_tuples("train")) == 13
        assert min(view.sizes[0] for view in data.views.values()) >= 2
        model = self.make(batch_size=batch_size)
        assert_distributions(model.train_model(data, top_words=3))

    def test_a_view_with_few_items(self, embedded: MultiviewDataset) -> None:
        rare = with_few_items(embedded, "de", {"train": 1, "validation": 0, "test": 3})
        output = self.train(rare, encoder="given")
        assert output[f"{THETA}/de"].shape == (4, 1)
        assert output[f"test-{THETA}/de"].shape == (4, 3)
        assert_distributions(output)
        rare = with_few_items(embedded, "de", {"train": 20, "validation": 0, "test": 3})
        model = self.make(encoder="given", patience=1)
        assert_distributions(model.train_model(rare, top_words=TOP_WORDS))
        assert all(np.isfinite(epoch["validation"]) for epoch in model.history.epochs)

    # New items.

    def test_infers_new_embeddings(
        self, of_embeddings: Any, embedded: MultiviewDataset, tmp_path: Path
    ) -> None:
        of_embeddings.save(tmp_path / "model")
        loaded = self.model.load(tmp_path / "model")
        vectors = np.random.default_rng(0).normal(size=(5, 12))
        for name in self.inferred(embedded):
            theta = of_embeddings.infer(vectors, name)
            assert theta.shape == (5, 4)
            np.testing.assert_allclose(theta.sum(axis=1), 1, atol=1e-5)
            for row in range(5):
                alone = of_embeddings.infer(vectors[row : row + 1], name)
                np.testing.assert_allclose(alone[0], theta[row], atol=1e-6)
            single = of_embeddings.infer(vectors.astype(np.float32), name)
            np.testing.assert_allclose(single, theta, atol=1e-6)
            np.testing.assert_array_equal(loaded.infer(vectors, name), theta)
            np.testing.assert_array_equal(loaded.infer(vectors, name, samples=20), theta)
            certain = of_embeddings.infer(vectors, name, samples=0)
            np.testing.assert_array_equal(loaded.infer(vectors, name, samples=0), certain)
            assert not np.array_equal(certain, theta)

    def test_items_that_do_not_fit(self, of_embeddings: Any, trained: Any) -> None:
        expected = "view 'en': embeddings of shape {}, expected finite numbers (items × 12)."
        for vectors in (np.zeros((2, 5)), np.zeros(12)):
            with pytest.raises(DataError) as raised:
                of_embeddings.infer(vectors, "en")
            assert str(raised.value) == expected.format(vectors.shape)
        for value in (np.nan, 1e300):
            broken = np.zeros((2, 12))
            broken[1, 3] = value
            with pytest.raises(DataError, match=r"the embedding of row 1 holds NaN, infinity or a"):
                of_embeddings.infer(broken, "en")
        expected = (
            "the model was trained on given embeddings of view 'en', or through an encoder of your "
            "own, which is not saved: pass an array of floats (items × 12), or load the model with "
            "encoders={'en': encoder}."
        )
        with pytest.raises(DataError) as raised:
            of_embeddings.infer(["en_sea_1"], "en")
        assert str(raised.value) == expected
        with pytest.warns(UserWarning, match="2 of 3 items of view 'en' have no word that the"):
            trained.infer(["en_sea_1", "qwerty", ""], "en")

    def test_an_item_far_from_all_others_has_equal_topics(
        self, of_embeddings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        vectors = np.zeros((3, 12), np.float32)
        expected = of_embeddings.infer(vectors, "en")
        posterior = of_embeddings.network.posterior

        def not_finite(view: str, embeddings: Any) -> Any:
            mean, log_variance = posterior(view, embeddings)
            mean[1] = np.nan
            return mean, log_variance

        monkeypatch.setattr(of_embeddings.network, "posterior", not_finite)
        with pytest.warns(UserWarning, match=r"^view 'en': 1 of 3 items have no finite topic"):
            found = of_embeddings.infer(vectors, "en")
        np.testing.assert_allclose(found[1], 0.25)
        np.testing.assert_array_equal(found[[0, 2]], expected[[0, 2]])

    # Callables of the user's own.

    def test_encoders_of_ones_own(
        self, planted_data: Planted, texts: list[str], tmp_path: Path
    ) -> None:
        dataset = planted_data.dataset.with_views(["en", "de"])
        own = {"en": Lengths(), "de": Lengths()}
        model = self.make(encoders=own)
        output = model.train_model(dataset, top_words=TOP_WORDS)
        assert output.views == ["en", "de"]
        vectors = Lengths().encode(texts)
        np.testing.assert_array_equal(model.infer(texts, "en"), model.infer(vectors, "en"))
        model.save(tmp_path / "model")
        loaded = self.model.load(tmp_path / "model")
        with pytest.raises(DataError, match=r"load the model with encoders=\{'en': encoder\}\."):
            loaded.infer(texts, "en")
        again = load_model(tmp_path / "model", encoders={"en": Lengths()})
        np.testing.assert_array_equal(again.infer(texts, "en"), model.infer(texts, "en"))
        with pytest.raises(DataError, match=r"through encoders of your own for de, which are not"):
            again.train_model(dataset, top_words=TOP_WORDS)
        whole = load_model(tmp_path / "model", encoders=own)
        assert_same(whole.train_model(dataset, top_words=TOP_WORDS), output)

    def test_encoders_that_do_not_fit(
        self, saved: Path, of_embeddings: Any, tmp_path: Path
    ) -> None:
        of_embeddings.save(tmp_path / "given")
        given = tmp_path / "given"
        for folder, view, message in (
            (given, "en", "given for view 'en' has 5 dimensions, the model was trained on 12;"),
            (given, "enn", r"the model knows no view 'enn'\. Did you mean 'en'\?"),
            (saved, "en", r"view 'en' has the encoder that it was trained with \((lsa|clsi)\)"),
        ):
            with pytest.raises((SettingsError, DataError), match=message):
                self.model.load(folder, encoders={view: Lengths()})

    def test_tokenizers_of_ones_own(self, planted_data: Planted, tmp_path: Path) -> None:
        views = {n: v.items(slice(0, 70)) for n, v in planted_data.dataset.text_views.items()}
        own = {n: TextPreprocessor(stop_words=False, tokenizer=str.split) for n in views}
        dataset = MultiviewDataset.from_lists(views, preprocessing=own, split=(0.8, 0.1))
        model = self.make()
        model.train_model(dataset, top_words=TOP_WORDS)
        expected = model.infer(["en_sea_1 en_sea_2"], "en")
        model.save(tmp_path / "model")
        with pytest.raises(SettingsError, match=r"'builtins:str.split' is a function, .* Pass it"):
            self.model.load(tmp_path / "model").infer(["en_sea_1 en_sea_2"], "en")
        loaded = self.model.load(tmp_path / "model", tokenizers={"en": str.split})
        np.testing.assert_array_equal(loaded.infer(["en_sea_1 en_sea_2"], "en"), expected)
        with pytest.raises(SettingsError, match=r"no texts of a view 'enn' .* mean 'en'\?"):
            self.model.load(tmp_path / "model", tokenizers={"enn": str.split})

    # Devices and damaged weights.

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    def test_trained_on_a_gpu_loads_on_the_cpu(
        self, embedded: MultiviewDataset, tmp_path: Path
    ) -> None:
        model = self.make(encoder="given", device="cuda")
        model.train_model(embedded, top_words=TOP_WORDS)
        model.save(tmp_path / "model")
        loaded: Any = self.model.load(tmp_path / "model")
        assert next(loaded.network.parameters()).device.type == "cpu"
        vectors = np.random.default_rng(0).normal(size=(5, 12))
        expected = model.infer(vectors, "en")
        np.testing.assert_allclose(loaded.infer(vectors, "en"), expected, atol=1e-5)

    def test_damaged_weights(self, of_embeddings: Any, tmp_path: Path) -> None:
        of_embeddings.save(tmp_path / "model")
        weights = tmp_path / "model" / "weights.safetensors"
        weights.write_bytes(bytes(weights.stat().st_size))
        described = read_json(tmp_path / "model" / MARKER)
        del described["sha256"]
        (tmp_path / "model" / MARKER).write_text(json.dumps(described))
        with pytest.raises(StorageError, match=r"the weights in .* do not fit the model"):
            self.model.load(tmp_path / "model")

    # Early stopping, divergence, interruption.

    def for_early_stopping(self, data: Planted) -> dict[str, Any]:
        """Return settings with which a training stops early."""
        return {"patience": 2, "epochs": 60, "learning_rate": 0.02, "schedule": "constant"}

    def test_early_stopping_keeps_the_best_epoch(self, planted_data: Planted) -> None:
        settings = self.for_early_stopping(planted_data)
        model = self.make(**settings)
        output = model.train_model(planted_data.dataset, top_words=TOP_WORDS)
        losses = [epoch["validation"] for epoch in model.history.epochs]
        best = model.history.best_epoch
        assert model.history.stopped == "early"
        assert best < len(losses) - 1
        assert losses[best] == min(losses)
        assert_same(output, self.train(planted_data.dataset, **settings | {"epochs": best + 1}))

    def test_divergence_is_an_error(self, planted_data: Planted) -> None:
        model = self.make(learning_rate=1e30, epochs=20)
        with pytest.raises(OctisM3LError, match=r"the loss became .* in epoch .* learning_rate"):
            model.train_model(planted_data.dataset, top_words=TOP_WORDS)
        with pytest.raises(NotTrainedError):
            model.topics()

    @pytest.mark.parametrize("patience", [0, pytest.param(3, marks=pytest.mark.slow)])
    def test_interrupted_training_continues_as_if_unbroken(
        self,
        patience: int,
        planted_data: Planted,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        dataset, settings = planted_data.dataset, {"epochs": 4, "patience": patience}
        unbroken = self.make(**settings)
        whole = Losses(unbroken, monkeypatch)
        expected = unbroken.train_model(dataset, top_words=TOP_WORDS)
        epochs = len(unbroken.history.epochs)
        an_epoch = whole.calls // epochs

        stopped = self.make(checkpoint=tmp_path / "run", **settings)
        broken = Losses(stopped, monkeypatch, interrupted_at=2 * an_epoch + 2)
        with (
            pytest.raises(KeyboardInterrupt),
            pytest.warns(UserWarning, match="was interrupted after 2 of 4 epochs; the model keeps"),
        ):
            stopped.train_model(dataset, top_words=TOP_WORDS)
        assert stopped.history.stopped == "interrupted"
        assert_distributions(stopped.output)
        assert stopped.infer(["en_sea_1 en_sea_2"], "en").shape == (1, 4)
        shutil.copytree(tmp_path / "run", tmp_path / "copy")

        fresh = self.make(checkpoint=tmp_path / "copy", **settings)
        rest = Losses(fresh, monkeypatch)
        for model, losses in ((fresh, rest), (stopped, broken)):
            before = losses.calls
            assert_same(model.train_model(dataset, top_words=TOP_WORDS), expected)
            assert losses.calls - before == (epochs - 2) * an_epoch
            assert model.history.epochs == unbroken.history.epochs
            assert model.history.stopped == unbroken.history.stopped

        finished = self.make(checkpoint=tmp_path / "run", **settings)
        none = Losses(finished, monkeypatch)
        assert_same(finished.train_model(dataset, top_words=TOP_WORDS), expected)
        assert none.calls == 0

    def test_fit_that_is_interrupted_in_its_first_epoch_keeps_what_it_has(
        self, planted_data: Planted, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = self.make(epochs=3)
        Losses(model, monkeypatch, interrupted_at=1)
        with pytest.warns(UserWarning, match="was interrupted after 0 of 3 epochs; the"):
            model.fit(planted_data.dataset, top_words=TOP_WORDS)
        assert_distributions(model.output)
        assert len(model.topic_info()) == 4

    # Checkpoints.

    def test_every_call_has_a_checkpoint_of_its_own(
        self, checkpointed: Path, runs: list[ModelOutput], planted_data: Planted, tmp_path: Path
    ) -> None:
        assert len(list(checkpointed.rglob("*.safetensors"))) == 2 * self.networks_trained
        model = self.make(checkpoint=shutil.copytree(checkpointed, tmp_path / "copy"))
        for run in runs:
            assert_same(model.train_model(planted_data.dataset, top_words=TOP_WORDS), run)

    def test_checkpoint_of_another_run(self, checkpointed: Path, planted_data: Planted) -> None:
        dataset = planted_data.dataset
        with pytest.raises(StorageError, match="belongs to another run: num_topics differ"):
            self.train(dataset, checkpoint=checkpointed, num_topics=3)
        whole = self.make(checkpoint=checkpointed)
        whole.partitioning(False)
        with pytest.raises(StorageError, match=r"belongs to another run: .*use_partitions"):
            whole.train_model(dataset, top_words=TOP_WORDS)
        first = dataset.view("en").take(
            np.roll(np.arange(len(dataset.view("en"))), 1), dataset.view("en").sizes
        )
        views = dataset.views | {"en": first}
        other = MultiviewDataset(views.values(), dataset.links, dictionaries=dataset.dictionaries)
        with pytest.raises(StorageError, match=r"belongs to another run: .*data"):
            self.train(other, checkpoint=checkpointed)

    def test_truncated_checkpoint(
        self, checkpointed: Path, planted_data: Planted, tmp_path: Path
    ) -> None:
        copy = shutil.copytree(checkpointed, tmp_path / "copy")
        for path in copy.rglob("*.safetensors"):
            path.write_bytes(path.read_bytes()[:-9])
        with pytest.raises(StorageError, match=r"is not a complete checkpoint .* delete it to"):
            self.train(planted_data.dataset, checkpoint=copy)

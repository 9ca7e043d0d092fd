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
    assert_distributions,
    assert_same,
    refused,
    watched_losses,
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

    @pytest.fixture
    def saved_of_embeddings(self, of_embeddings: Any, tmp_path: Path) -> Path:
        """A folder with that model."""
        of_embeddings.save(tmp_path / "given")
        return tmp_path / "given"

    @pytest.fixture(scope="class")
    def checkpointed(self, data: MultiviewDataset, tmp_path_factory: Any) -> Path:
        """The checkpoints of two calls of one model."""
        folder: Path = tmp_path_factory.mktemp("checkpoint")
        model = self.make(checkpoint=folder)
        for _ in range(2):
            model.train_model(data, top_words=TOP_WORDS)
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
            assert f"{name}={value}: it should be {expected}." in str(raised.value)

    def test_what_does_not_fit_the_data_or_the_machine(self, data: MultiviewDataset) -> None:
        message = "batch_size=256 is larger than the data: "
        refused(DataError, message, self.train, data, batch_size=256)
        message = "device='nonsense' can't be used here"
        refused(SettingsError, message, self.train, data, device="nonsense")
        message = "patience=3: early stopping needs a validation partition, and the data set has"
        refused(SettingsError, message, self.train, data.with_split(0.8, 0.0), patience=3)
        model = self.make(patience=3)
        model.partitioning(False)
        refused(SettingsError, message, model.train_model, data, top_words=TOP_WORDS)

    @pytest.mark.parametrize("batch_size", [2, 3, 4])
    def test_gaps_in_small_batches(self, batch_size: int) -> None:
        # 13 tuples: with 2, 3 and 4 in a batch, one is left over for the last.
        data = planted(tuples=13, missing=0.6, shares=(1.0, 0.0), seed=2).dataset
        assert len(data.partition_tuples("train")) == 13
        assert min(view.sizes[0] for view in data.views.values()) >= 2
        model = self.make(batch_size=batch_size)
        assert_distributions(model.train_model(data, top_words=3))

    def test_a_view_with_few_items(self, embedded: MultiviewDataset) -> None:
        output = self.train(with_few_items(embedded, "de", 1, 0, 3), encoder="given")
        assert output[f"{THETA}/de"].shape == (4, 1)
        assert output[f"test-{THETA}/de"].shape == (4, 3)
        assert_distributions(output)
        model, rare = (
            self.make(encoder="given", patience=1),
            with_few_items(embedded, "de", 20, 0, 3),
        )
        assert_distributions(model.train_model(rare, top_words=TOP_WORDS))
        assert all(np.isfinite(epoch["validation"]) for epoch in model.history.epochs)

    # New items.

    def test_infers_new_embeddings(
        self, of_embeddings: Any, embedded: MultiviewDataset, saved_of_embeddings: Path
    ) -> None:
        loaded = self.model.load(saved_of_embeddings)
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
        not_finite = np.zeros((2, 2, 12))
        not_finite[:, 1, 3] = np.nan, 1e300
        shape = "view 'en': embeddings of shape {}, expected finite numbers (items × 12)."
        for given, message in (
            (np.zeros((2, 5)), shape.format((2, 5))),
            (np.zeros(12), shape.format((12,))),
            (not_finite[0], "the embedding of row 1 holds NaN, infinity or a"),
            (not_finite[1], "the embedding of row 1 holds NaN, infinity or a"),
            (
                ["en_sea_1"],
                "the model was trained on given embeddings of view 'en', or through an encoder of "
                "your own, which is not saved: pass an array of floats (items × 12), or load the "
                "model with encoders={'en': encoder}.",
            ),
        ):
            refused(DataError, message, of_embeddings.infer, given, "en")
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
        self, data: MultiviewDataset, texts: list[str], tmp_path: Path
    ) -> None:
        dataset, own = data.with_views(["en", "de"]), {"en": Lengths(), "de": Lengths()}
        model = self.make(encoders=own)
        output = model.train_model(dataset, top_words=TOP_WORDS)
        assert output.views == ["en", "de"]
        expected = model.infer(texts, "en")
        np.testing.assert_array_equal(model.infer(Lengths().encode(texts), "en"), expected)
        model.save(tmp_path / "model")
        loaded = self.model.load(tmp_path / "model")
        refused(DataError, "the model with encoders={'en': encoder}.", loaded.infer, texts, "en")
        again = load_model(tmp_path / "model", encoders={"en": Lengths()})
        np.testing.assert_array_equal(again.infer(texts, "en"), expected)
        message = "through encoders of your own for de, which are not"
        refused(DataError, message, again.train_model, dataset, top_words=TOP_WORDS)
        whole = load_model(tmp_path / "model", encoders=own)
        assert_same(whole.train_model(dataset, top_words=TOP_WORDS), output)

    def test_encoders_that_do_not_fit(self, saved: Path, saved_of_embeddings: Path) -> None:
        for folder, view, message in (
            (saved_of_embeddings, "en", "'en' has 5 dimensions, the model was trained on 12;"),
            (saved_of_embeddings, "enn", "unknown view 'enn'. Did you mean 'en'?"),
            (saved, "en", "view 'en' has the encoder that it was trained with ("),
        ):
            refused(OctisM3LError, message, self.model.load, folder, encoders={view: Lengths()})

    def test_tokenizers_of_ones_own(self, data: MultiviewDataset, tmp_path: Path) -> None:
        texts = {name: view.items(slice(0, 70)) for name, view in data.text_views.items()}
        own = {n: TextPreprocessor(stop_words=False, tokenizer=str.split) for n in texts}
        model, new = self.make(), ["en_sea_1 en_sea_2"]
        model.fit(texts, preprocessing=own, split=(0.8, 0.1))
        model.save(tmp_path / "model")
        loaded = self.model.load(tmp_path / "model")
        refused(SettingsError, "'builtins:str.split' is a function, ", loaded.infer, new, "en")
        loaded = self.model.load(tmp_path / "model", tokenizers={"en": str.split})
        np.testing.assert_array_equal(loaded.infer(new, "en"), model.infer(new, "en"))
        given = {"tokenizers": {"enn": str.split}}
        for message in ("no texts of a view 'enn' ", "mean 'en'?"):
            refused(SettingsError, message, self.model.load, tmp_path / "model", **given)

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

    def test_damaged_weights(self, saved_of_embeddings: Path) -> None:
        weights = saved_of_embeddings / "weights.safetensors"
        weights.write_bytes(bytes(weights.stat().st_size))
        described = read_json(saved_of_embeddings / MARKER)
        del described["sha256"]
        (saved_of_embeddings / MARKER).write_text(json.dumps(described))
        message = f"{saved_of_embeddings} is damaged or incomplete ("
        refused(StorageError, message, self.model.load, saved_of_embeddings)

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

    def test_divergence_is_an_error(self, data: MultiviewDataset) -> None:
        model = self.make(learning_rate=1e30, epochs=20)
        with pytest.raises(OctisM3LError, match=r"the loss became .* in epoch .* learning_rate"):
            model.train_model(data, top_words=TOP_WORDS)
        refused(NotTrainedError, "", model.topics)

    @pytest.mark.parametrize("patience", [0, pytest.param(3, marks=pytest.mark.slow)])
    def test_interrupted_training_continues_as_if_unbroken(
        self,
        patience: int,
        data: MultiviewDataset,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        settings = {"epochs": 4, "patience": patience}
        calls = watched_losses(self.model, monkeypatch)
        unbroken = self.make(**settings)
        expected = unbroken.train_model(data, top_words=TOP_WORDS)
        epochs = len(unbroken.history.epochs)
        an_epoch = len(calls) // epochs

        watched_losses(self.model, monkeypatch, interrupted_at=2 * an_epoch + 2)
        stopped = self.make(checkpoint=tmp_path / "run", **settings)
        with (
            pytest.raises(KeyboardInterrupt),
            pytest.warns(UserWarning, match="was interrupted after 2 of 4 epochs; the model keeps"),
        ):
            stopped.train_model(data, top_words=TOP_WORDS)
        assert stopped.history.stopped == "interrupted"
        assert_distributions(stopped.output)
        assert stopped.infer(["en_sea_1 en_sea_2"], "en").shape == (1, 4)
        shutil.copytree(tmp_path / "run", tmp_path / "copy")

        fresh = self.make(checkpoint=tmp_path / "copy", **settings)
        finished = self.make(checkpoint=tmp_path / "run", **settings)
        for model, left in ((fresh, epochs - 2), (stopped, epochs - 2), (finished, 0)):
            calls.clear()
            assert_same(model.train_model(data, top_words=TOP_WORDS), expected)
            assert len(calls) == left * an_epoch
            assert model.history.epochs == unbroken.history.epochs
            assert model.history.stopped == unbroken.history.stopped

    def test_fit_that_is_interrupted_in_its_first_epoch_keeps_what_it_has(
        self, data: MultiviewDataset, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = self.make(epochs=3)
        watched_losses(self.model, monkeypatch, interrupted_at=1)
        with pytest.warns(UserWarning, match="was interrupted after 0 of 3 epochs; the"):
            model.fit(data, top_words=TOP_WORDS)
        assert_distributions(model.output)
        assert len(model.topic_info()) == 4

    # Checkpoints.

    def test_every_call_has_a_checkpoint_of_its_own(
        self,
        checkpointed: Path,
        runs: list[ModelOutput],
        data: MultiviewDataset,
        tmp_path: Path,
    ) -> None:
        assert len(list(checkpointed.rglob("*.safetensors"))) == 2 * self.networks_trained
        copy = shutil.copytree(checkpointed, tmp_path / "copy")
        model = self.make(checkpoint=copy)
        for run in runs:
            assert_same(model.train_model(data, top_words=TOP_WORDS), run)
        for path in copy.rglob("*.safetensors"):
            path.write_bytes(path.read_bytes()[:-9])
        with pytest.raises(StorageError, match=r"is damaged or incomplete \(.* delete it to"):
            self.train(data, checkpoint=copy)

    def test_checkpoint_of_another_run(self, checkpointed: Path, data: MultiviewDataset) -> None:
        message, english = "belongs to another run: ", data.view("en")
        given = {"checkpoint": checkpointed}
        refused(
            StorageError, f"{message}num_topics differ", self.train, data, **given, num_topics=3
        )
        whole = self.make(**given)
        whole.partitioning(False)
        with pytest.raises(StorageError, match=f"{message}.*use_partitions"):
            whole.train_model(data, top_words=TOP_WORDS)
        rolled = english.take(np.roll(np.arange(len(english)), 1), english.sizes)
        views = data.views | {"en": rolled}
        other = MultiviewDataset(views.values(), data.links, dictionaries=data.dictionaries)
        with pytest.raises(StorageError, match=f"{message}.*data"):
            self.train(other, **given)

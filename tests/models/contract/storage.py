"""Folders of a model; what does not depend on the model is in test_storage.py."""

import json
import re
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from planted import Planted

from octis_m3l.errors import DataError, StorageError
from octis_m3l.files import read_json
from octis_m3l.models import MODELS, ModelOutput, load_model
from octis_m3l.models.storage import MARKER

from .base import Contract
from .helpers import THETA, TOP_WORDS, assert_same


class StorageContract(Contract):
    """What a model promises of the folder it is saved to."""

    def test_loads_what_it_saved(
        self, trained: Any, saved: Path, planted_data: Planted, texts: list[str]
    ) -> None:
        kinds = {path.suffix for path in saved.rglob("*") if path.is_file()}
        assert kinds == {".json", ".safetensors"}
        for model in (self.model.load(saved), load_model(saved)):
            assert type(model) is self.model
            assert model.hyperparameters == trained.hyperparameters
            assert model.run_seed == trained.run_seed
            assert model.history == trained.history
            output = cast(ModelOutput, model.output)
            assert_same(output, trained.output)
            assert output.pivot == trained.output.pivot
            assert output.vocabularies == trained.output.vocabularies
            assert output["topics"] == trained.output["topics"]
            np.testing.assert_array_equal(model.infer(texts, "en"), trained.infer(texts, "en"))
            pd.testing.assert_frame_equal(model.topic_info(), trained.topic_info())
            with pytest.raises(DataError, match="a loaded model does not hold the documents"):
                model.representatives(0, "en")
            pd.testing.assert_frame_equal(
                model.representatives(0, "en", dataset=planted_data.dataset),
                trained.representatives(0, "en"),
            )
            other = planted_data.dataset.with_split(0.5, 0.1)
            with pytest.raises(DataError, match="pass the data set that it was trained on"):
                model.representatives(0, "en", dataset=other)
        trained_on = model.train_model(planted_data.dataset, top_words=TOP_WORDS)
        assert_same(trained_on, trained.output)

    def test_loads_a_model_without_partitions(
        self, trained_on_all: Any, planted_data: Planted, tmp_path: Path
    ) -> None:
        trained_on_all.save(tmp_path / "model")
        loaded: Any = self.model.load(tmp_path / "model")
        assert_same(loaded.output, trained_on_all.output)
        pd.testing.assert_frame_equal(
            loaded.representatives(0, "en", dataset=planted_data.dataset),
            trained_on_all.representatives(0, "en"),
        )
        again = loaded.train_model(planted_data.dataset, top_words=TOP_WORDS)
        assert f"test-{THETA}" not in again

    def test_weights_that_are_not_finite(self, trained: Any, tmp_path: Path) -> None:
        pltm = self.model.name == "pltm"
        whole = trained.samples[0].alpha if pltm else next(trained.network.parameters()).data
        weights = whole.reshape(-1)
        first = float(weights[0])
        weights[0] = np.nan
        try:
            trained.save(tmp_path / "model")
        finally:
            weights[0] = first
        with pytest.raises(StorageError, match=r"weights.safetensors holds NaN or infinity \('"):
            load_model(tmp_path / "model")

    def test_description_of_a_network_beyond_any_memory(self, saved: Path) -> None:
        described = read_json(saved / MARKER)
        for sizes in described.get("network", {}).values():
            if isinstance(sizes, dict):
                sizes[next(iter(sizes))] = 10**13
                (saved / MARKER).write_text(json.dumps(described))
                expected = r"do not fit the model \((Error\(s\) in loading|Unable to allocate)"
                with pytest.raises(StorageError, match=expected):
                    self.model.load(saved)

    def test_model_of_another_class(self, saved: Path) -> None:
        other = next(kind for kind in MODELS.values() if kind is not self.model)
        expected = f"holds a {self.model.name}, not a {other.name}; use octis_m3l.load_model."
        with pytest.raises(DataError, match=re.escape(expected)):
            other.load(saved)

"""Stock OCTIS models train on our data sets, the pivot's and any other view's."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from octis.models.CTM import CTM
from octis.models.ETM import ETM
from octis.models.LDA import LDA
from octis.models.NeuralLDA import NeuralLDA
from octis.models.NMF import NMF
from octis.models.ProdLDA import ProdLDA

from octis_m3l import MultiviewDataset, demo_corpus, encode
from octis_m3l.comparison.per_view import embeddings_for_octis_ctm


@pytest.fixture(scope="module")
def dataset() -> MultiviewDataset:
    return demo_corpus(80)


def _checked(output: dict[str, Any], dataset: MultiviewDataset, view: str) -> None:
    items = dataset.text_view(view)
    assert {word for topic in output["topics"] for word in topic} <= set(items.vocabulary)
    assert np.isfinite(output["topic-document-matrix"]).all()
    assert output["topic-document-matrix"].shape == (3, items.sizes[0])
    assert output["test-topic-document-matrix"].shape == (3, items.sizes[2])


@pytest.mark.parametrize("model", [LDA, NMF])
@pytest.mark.parametrize("view", ["en", "de"])
def test_lda_and_nmf(dataset: MultiviewDataset, model: Any, view: str) -> None:
    data = dataset if view == dataset.pivot else dataset.monolingual(view)
    _checked(model(num_topics=3).train_model(data), dataset, view)


@pytest.mark.parametrize("model", [ETM, NeuralLDA, ProdLDA])
def test_neural_models(
    dataset: MultiviewDataset, model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    output = model(num_topics=3, num_epochs=1, batch_size=16).train_model(
        dataset.monolingual("de"), top_words=5
    )
    _checked(output, dataset, "de")


@pytest.mark.parametrize("view", ["en", "de"])
def test_ctm_on_our_embeddings(
    dataset: MultiviewDataset, view: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = dataset if view == dataset.pivot else dataset.monolingual(view)
    with embeddings_for_octis_ctm(dataset, encode(dataset).embeddings[view], view) as place:
        model = CTM(num_topics=3, num_epochs=2, batch_size=16, bert_path=place)
        output = model.train_model(data, top_words=5)
        folder = Path(place).parent
        assert len(list(folder.iterdir())) == 3
    assert not folder.exists()
    _checked(output, dataset, view)

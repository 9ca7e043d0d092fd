"""Stock OCTIS models train on our data sets, the pivot's and any other view's."""

from contextlib import nullcontext
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


NEURAL = [(ETM, "de"), (NeuralLDA, "de"), (ProdLDA, "de"), (CTM, "en"), (CTM, "de")]


@pytest.mark.parametrize(
    ("model", "view"), [(LDA, "en"), (LDA, "de"), (NMF, "en"), (NMF, "de"), *NEURAL]
)
def test_a_stock_model_trains_on_a_view(
    dataset: MultiviewDataset,
    model: Any,
    view: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    data = dataset if view == dataset.pivot else dataset.monolingual(view)
    settings: dict[str, Any] = {"num_topics": 3}
    if (model, view) in NEURAL:
        settings |= {"num_epochs": 1, "batch_size": 16}
    embedded: Any = nullcontext()
    if model is CTM:
        embedded = embeddings_for_octis_ctm(dataset, encode(dataset).embeddings[view], view)
    with embedded as place:
        if place is not None:
            settings["bert_path"] = place
        output = model(**settings).train_model(data, top_words=5)
        assert place is None or len(list(Path(place).parent.iterdir())) == 3
    assert place is None or not Path(place).parent.exists()
    items = dataset.text_view(view)
    assert {word for topic in output["topics"] for word in topic} <= set(items.vocabulary)
    assert np.isfinite(output["topic-document-matrix"]).all()
    assert output["topic-document-matrix"].shape == (3, items.sizes[0])
    assert output["test-topic-document-matrix"].shape == (3, items.sizes[2])

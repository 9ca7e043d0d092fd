"""ZeroshotTM-KD: the contract, and what a teacher teaches."""

from typing import Any

import numpy as np
import pytest
from planted import IMAGE, Planted, planted

from octis_m3l.encoders import encode
from octis_m3l.errors import SettingsError
from octis_m3l.metrics import MRR, UAP
from octis_m3l.models import ZeroshotTM, ZeroshotTMKD

from .contract import TOP_WORDS, NeuralModelContract, assert_same

SETTINGS: dict[str, Any] = {
    "num_topics": 8,
    "batch_size": 16,
    "hidden_size": 30,
    "encoder": "lsa",
    "learning_rate": 5e-3,
}


class TestZeroshotTMKD(NeuralModelContract):
    model = ZeroshotTMKD
    needs_links = True
    networks_trained = 2

    def test_early_stopping_keeps_the_best_epoch(self, planted_data: Planted) -> None:
        settings = {"patience": 2, "epochs": 60, "learning_rate": 0.02, "schedule": "constant"}
        teacher = taught_teacher(planted_data)
        model = self.make(teacher=teacher, **settings)
        output = model.train_model(planted_data.dataset, top_words=TOP_WORDS)
        losses = [epoch["validation"] for epoch in model.history.epochs]
        best = model.history.best_epoch
        assert model.history.stopped == "early"
        assert losses[best] == min(losses)
        shorter = self.make(teacher=teacher, **settings | {"epochs": best + 1})
        assert_same(output, shorter.train_model(planted_data.dataset, top_words=TOP_WORDS))


def taught_teacher(data: Planted) -> ZeroshotTM:
    """Return a teacher trained on the vectors that the students' model will have."""
    vectors = encode(data.dataset, "auto").embeddings["en"]
    english = data.dataset.with_views(["en"]).with_embeddings({"en": vectors}, order="stored")
    teacher = ZeroshotTM(num_topics=4, epochs=2, batch_size=16, hidden_size=12, encoder="given")
    teacher.train_model(english, top_words=TOP_WORDS)
    return teacher


def test_students_learn_what_a_shared_network_can_not() -> None:
    dataset = planted(themes=8, tuples=300).dataset
    student = ZeroshotTMKD(epochs=60, seed=1, **SETTINGS).train_model(dataset, top_words=TOP_WORDS)
    texts = dataset.with_views(["en", "de"])
    with pytest.warns(UserWarning, match="encoded by LSA, each language in a space of its own"):
        alone = ZeroshotTM(epochs=60, seed=1, **SETTINGS).train_model(texts, top_words=TOP_WORDS)
    for query, target in (("en", "de"), ("de", "en")):
        metric = MRR(dataset, query, target)
        assert metric.score(student) > 2 * MRR(texts, query, target).score(alone)
    pictures = UAP(dataset, "en", IMAGE)
    assert pictures.score(student) > 2 * pictures.chance()


def test_the_teacher_stays_as_it_was(planted_data: Planted) -> None:
    teacher = taught_teacher(planted_data)
    before = {name: one.clone() for name, one in teacher._ready().state_dict().items()}
    model = ZeroshotTMKD(teacher=teacher, num_topics=4, epochs=2, batch_size=16, hidden_size=12)
    output = model.train_model(planted_data.dataset, top_words=TOP_WORDS)
    for name, one in teacher._ready().state_dict().items():
        assert one.equal(before[name]), name
    taught = teacher.output
    assert taught is not None
    np.testing.assert_array_equal(output["topic-word-matrix/en"], taught["topic-word-matrix/en"])


def test_a_teacher_of_other_topics_is_refused(planted_data: Planted) -> None:
    teacher = taught_teacher(planted_data)
    with pytest.raises(SettingsError, match=r"the teacher learned 4 topics of view 'en', and"):
        ZeroshotTMKD(teacher=teacher, num_topics=5).train_model(planted_data.dataset)


@pytest.mark.parametrize("changes", [{"taught": "prior"}, {"image_words": False}])
def test_variants_train_and_differ(changes: dict[str, Any], planted_data: Planted) -> None:
    settings: dict[str, Any] = {"num_topics": 4, "epochs": 2, "batch_size": 16, "hidden_size": 12}
    plain = ZeroshotTMKD(**settings).train_model(planted_data.dataset, top_words=TOP_WORDS)
    other = ZeroshotTMKD(**settings, **changes).train_model(
        planted_data.dataset, top_words=TOP_WORDS
    )
    assert not np.array_equal(plain.theta(IMAGE), other.theta(IMAGE))

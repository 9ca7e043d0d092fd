"""ZeroshotTM-KD: the contract, and what a teacher teaches."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from plain import divergence, loss_and_noise, normalised, reconstruction, sampled
from planted import IMAGE, Planted, holds_for_most_seeds, in_unrelated_spaces, planted

from octis_m3l.data.batches import Batch, TupleSampler
from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.encoders import encode
from octis_m3l.errors import DataError, SettingsError, StorageError
from octis_m3l.metrics import MRR, UAP
from octis_m3l.models import ZeroshotTM, ZeroshotTMKD
from octis_m3l.models.base import NotTrainedError
from octis_m3l.models.teacher import close, network_of, teacher_settings
from octis_m3l.models.zeroshot_tm_kd import (
    ZeroshotTMKDNetwork,
    ZeroshotTMKDSettings,
)

from .contract import TOP_WORDS, NeuralModelContract, assert_same, refused

FAST: dict[str, Any] = {"num_topics": 4, "epochs": 1, "batch_size": 16}


class TestZeroshotTMKD(NeuralModelContract):
    model = ZeroshotTMKD
    needs_links = True
    networks_trained = 2

    def for_early_stopping(self, data: Planted) -> dict[str, Any]:
        # A teacher that is given is not stopped early, too.
        return super().for_early_stopping(data) | {"teacher": taught_teacher(data)}


def test_a_teacher_is_told_what_the_user_said_and_no_defaults() -> None:
    for given in ({}, {"batch_size": 64}, {"num_topics": 4, "epochs": 100}):
        settings = ZeroshotTMKDSettings.checked(given, "test")
        of_teacher = teacher_settings(settings, "en")
        assert of_teacher.model_fields_set == {"view", "standardised", *given}
        assert of_teacher.standardised == "own-view"
    # Both take as many epochs as 210 updates are.
    model: Any = ZeroshotTMKD(3, hidden_size=8, updates=210, batch_size=10)
    model.train_model(planted(tuples=30, missing={"en": 0.2}).dataset, top_words=3)
    for history in (model.history, model.trained_teacher.history):
        assert len(history.epochs) == 105


def taught_teacher(data: Planted, **changes: Any) -> ZeroshotTM:
    """Return a teacher trained on the vectors that the students' model will have."""
    vectors = encode(data.dataset, "auto").embeddings["en"]
    english = data.dataset.with_views(["en"]).with_embeddings({"en": vectors}, order="stored")
    settings = {"num_topics": 4, "epochs": 2, "batch_size": 16, "hidden_size": 12} | changes
    teacher = ZeroshotTM(encoder="given", **settings)
    teacher.train_model(english, top_words=TOP_WORDS)
    return teacher


def test_students_learn_what_a_shared_network_can_not() -> None:
    settings: dict[str, Any] = {"num_topics": 8, "epochs": 30, "batch_size": 32, "hidden_size": 30}

    def learns(seed: int) -> None:
        data = planted(themes=5, tuples=300, concentration=0.1, seed=seed).dataset
        dataset = in_unrelated_spaces(data, seed)
        given = {**settings, "learning_rate": 1e-2, "seed": seed}
        student = ZeroshotTMKD(**given).train_model(dataset, top_words=TOP_WORDS)
        texts = dataset.with_views(["en", "de"])
        alone = ZeroshotTM(**given).train_model(texts, top_words=TOP_WORDS)
        for query, target in (("en", "de"), ("de", "en")):
            metric = MRR(dataset, query, target)
            assert metric.score(student) > 2 * metric.chance()
            assert metric.score(student) > 1.5 * MRR(texts, query, target).score(alone)
        pictures = UAP(dataset, "en", IMAGE)
        assert pictures.score(student) > 2 * pictures.chance()

    holds_for_most_seeds(learns)


@pytest.mark.parametrize(
    "changes",
    [
        {"activation": "relu"},
        {"topic_form": "centred"},
        {"prior": "fixed", "hidden_size": 9, "hidden_layers": 1},
        {"posterior": "free-variance"},
    ],
)
def test_a_teacher_has_hyperparameters_of_its_own_and_stays_as_it_was(
    changes: dict[str, Any], planted_data: Planted, tmp_path: Path
) -> None:
    teacher = taught_teacher(planted_data, **changes)
    weights = {name: one.clone() for name, one in network_of(teacher).state_dict().items()}
    model = ZeroshotTMKD(teacher=teacher, num_topics=4, epochs=2, batch_size=16)
    output = model.fit(planted_data.dataset, top_words=TOP_WORDS).output
    taught = teacher.output
    assert output is not None
    assert taught is not None
    for name, one in network_of(teacher).state_dict().items():
        assert one.equal(weights[name]), name
    np.testing.assert_array_equal(output["topic-word-matrix/en"], taught["topic-word-matrix/en"])
    np.testing.assert_allclose(output.theta("en"), taught.theta("en"), rtol=1e-5)
    model.save(tmp_path / "model")
    again = ZeroshotTMKD.load(tmp_path / "model")
    assert_same(again._trained(), output)
    items = ["en_sea_1 en_sea_2"]
    np.testing.assert_array_equal(again.infer(items, "en"), model.infer(items, "en"))


def test_a_given_teacher_must_be_given_again(planted_data: Planted, tmp_path: Path) -> None:
    settings: dict[str, Any] = {**FAST, "checkpoint": tmp_path / "run"}
    model = ZeroshotTMKD(teacher=taught_teacher(planted_data), **settings)
    output = model.train_model(planted_data.dataset, top_words=TOP_WORDS)
    model.save(tmp_path / "model")
    again: Any = ZeroshotTMKD.load(tmp_path / "model")
    message = "trained with a teacher that was given to it; give it aga"
    refused(DataError, message, again.train_model, planted_data.dataset, top_words=TOP_WORDS)
    again.teacher = model.teacher
    assert_same(again.train_model(planted_data.dataset, top_words=TOP_WORDS), output)
    # A checkpoint knows its teacher.
    other = ZeroshotTMKD(teacher=taught_teacher(planted_data, seed=1), **settings)
    message = "belongs to another run: teacher differ"
    refused(StorageError, message, other.train_model, planted_data.dataset, top_words=TOP_WORDS)


def test_teachers_that_do_not_fit_are_refused(planted_data: Planted) -> None:
    dataset = planted_data.dataset
    other = planted(("en", "de"), themes=3, images=False).dataset
    foreign = ZeroshotTM(**FAST, encoder="lsa").fit(other, top_words=TOP_WORDS)
    own = "the teacher learned from other embeddings of view 'en"
    cases: list[tuple[type[Exception], Any, dict[str, Any], str]] = [
        (SettingsError, "x", {}, "the teacher is a str; expected a trained ZeroshotTM"),
        (
            SettingsError,
            taught_teacher(planted_data),
            {"num_topics": 5},
            "the teacher learned 4 topics of view 'en', and",
        ),
        (NotTrainedError, ZeroshotTM(num_topics=4), {}, "zeroshot-tm is not trained yet"),
        (DataError, foreign, {}, " words of view 'en', and the data"),
        (SettingsError, foreign, {"prior": "fixed"}, "prior: of the teacher alone, which is"),
        (SettingsError, foreign, {"prior_weight": 2.0}, "prior_weight: of the teacher alone"),
    ]
    for dimensions in (150, 3):
        teacher = ZeroshotTM(**FAST, encoder="lsa", dimensions=dimensions)
        teacher.train_model(dataset.with_views(["en"]), top_words=TOP_WORDS)
        cases.append((DataError, teacher, {"encoder": "clsi"}, own))
    for error, given, changes, message in cases:
        model = ZeroshotTMKD(teacher=given, **FAST | changes)
        refused(error, message, model.train_model, dataset, top_words=TOP_WORDS)
    model = ZeroshotTMKD(teacher=teacher, **FAST, encoders={"en": teacher.encoders["en"]})
    model.train_model(dataset, top_words=TOP_WORDS)


def test_a_teacher_of_the_data_sets_encoder_needs_no_model_to_be_there(
    planted_data: Planted,
) -> None:
    size = len(planted_data.dataset.view("en"))
    vectors = np.random.default_rng(0).normal(size=(size, 6)).astype(np.float32)

    def embedded(folder: str) -> MultiviewDataset:
        record = {"kind": "model2vec", "settings": {"model": folder, "dimensions": 6}}
        return planted_data.dataset.with_embeddings(
            {"en": vectors}, order="stored", encoders={"en": record}
        )

    teacher = ZeroshotTM(**FAST)
    teacher.train_model(embedded("/gone/model").with_views(["en"]), top_words=TOP_WORDS)
    for folder in ("/gone/model", "/gone/other"):
        ZeroshotTMKD(teacher=teacher, **FAST).train_model(embedded(folder), top_words=TOP_WORDS)
    vars(teacher.encoders["en"])["encode"] = lambda items: np.ones((len(items), 6))
    ZeroshotTMKD(teacher=teacher, **FAST).train_model(embedded("/gone/model"), top_words=TOP_WORDS)
    model, message = ZeroshotTMKD(teacher=teacher, **FAST), "learned from other embeddings of view"
    refused(DataError, message, model.train_model, embedded("/gone/other"), top_words=TOP_WORDS)


@pytest.mark.parametrize(
    ("precision", "apart", "same"),
    [
        ("float32", 1e-6, True),
        ("float32", 5e-3, False),
        ("float16", 5e-3, True),
        ("float16", 5e-2, False),
    ],
)
def test_half_precision_may_differ_by_more(precision: str, apart: float, same: bool) -> None:
    random = np.random.default_rng(0)
    vectors, noise = random.normal(size=(2, 8, 100)).astype(np.float32)
    assert close(vectors + apart * noise, vectors, precision) is same


# The loss.


def doubled(batch: Batch) -> Batch:
    """Return a batch in double precision."""
    views = {}
    for name, view in batch.views.items():
        words = view.words
        if words is not None:
            words = replace(words, counts=words.counts.double(), totals=words.totals.double())
        views[name] = replace(view, embeddings=view.embeddings.double(), words=words)
    return replace(batch, views=views)


@pytest.mark.parametrize("borrowed", [True, False])
@pytest.mark.parametrize("taught", ["posterior", "prior"])
def test_the_loss_is_the_plain_formula(taught: str, borrowed: bool, planted_data: Planted) -> None:
    dataset = planted_data.dataset
    settings = ZeroshotTMKDSettings.checked(
        {
            "num_topics": 4,
            "taught": taught,
            "image_words": borrowed,
            "distillation_weight": 2.5,
            "dropout": 0.0,
            "theta_dropout": 0.0,
        },
        "test",
    )
    random = np.random.default_rng(0)
    vectors = {name: random.normal(size=(len(v), 6)) for name, v in dataset.views.items()}
    sizes = {name: len(view.vocabulary) for name, view in dataset.text_views.items()}
    torch.manual_seed(0)
    teacher = teacher_settings(settings, "en").model_dump()
    dimensions = dict.fromkeys(dataset.views, 6)
    network = ZeroshotTMKDNetwork(dimensions, sizes, settings, teacher).double()
    with torch.no_grad():
        network.teacher.prior.mean.copy_(torch.tensor(random.normal(size=4)))
    network.train()
    batch = doubled(next(TupleSampler(dataset, "train", vectors, 12).epoch(shuffle=False)))
    assert any(view.rows is not None for view in batch.views.values())
    terms = loss_and_noise(network, batch)

    def of_tuples(name: str) -> list[int]:
        rows = batch.views[name].rows
        return list(range(batch.size)) if rows is None else rows.tolist()

    # Batch norm needs the same batches, in the same order as the loss has them.
    prior, english = network.teacher.prior, batch.views["en"]
    assert english.words is not None
    taught_rows = {number: place for place, number in enumerate(of_tuples("en"))}
    expected = {"distillation": 0.0, "reconstruction": 0.0}
    for name, view in batch.views.items():
        if name == "en":
            continue
        posterior = network.posterior(name, view.embeddings)
        network.teacher.eval()
        theirs = network.teacher.posterior("en", english.embeddings)
        theta = sampled(*posterior)
        divergences, pairs = [], []
        for item, number in enumerate(of_tuples(name)):
            towards = [prior.mean, prior.log_variance]
            if number in taught_rows:
                pairs.append((item, taught_rows[number]))
                if taught == "posterior":
                    towards = [each[taught_rows[number]] for each in theirs]
            divergences.append(divergence(*(each[item] for each in posterior), *towards))
        expected["distillation"] += 2.5 * float(torch.stack(divergences).mean().detach())
        if view.words is not None:
            counts = view.words.dense(sizes[name])
        elif borrowed:
            counts = english.words.dense(sizes["en"])[[place for _, place in pairs]]
            theta = theta[[item for item, _ in pairs]]
        else:
            continue
        decoder: Any = network.decoders[name]
        lost = reconstruction(normalised(theta @ decoder.beta), counts)
        expected["reconstruction"] += float(lost.mean().detach())
    assert terms == pytest.approx(expected, rel=1e-9)

"""Contenders: models of three packages, results from elsewhere, and how a file names them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from octis.models.CTM import CTM
from octis.models.LDA import LDA
from octis.models.NMF import NMF
from octis.models.ProdLDA import ProdLDA

from octis_m3l import (
    External,
    GloCTM,
    M3LContrast,
    MultiviewDataset,
    OfContextualized,
    TextPreprocessor,
)
from octis_m3l.comparison import OfOCTIS, Ours
from octis_m3l.comparison.contenders import Terms
from octis_m3l.comparison.result import ALL
from octis_m3l.comparison.specifications import contender, read_contenders
from octis_m3l.errors import DataError, SettingsError
from tests.comparison.toy import quickly

SCRIPT = """
from octis.models.LDA import LDA
from octis.models.ProdLDA import ProdLDA
from contextualized_topic_models.models.ctm import ZeroShotTM
from octis_m3l import OfContextualized, compare, demo_corpus

short = {"n_components": 3, "num_epochs": 1, "batch_size": 16}
result = compare(
    {
        "ctm": OfContextualized(ZeroShotTM, **short),
        "LDA": LDA(num_topics=3),
        "ProdLDA": ProdLDA(num_topics=3, num_epochs=1, batch_size=16),
    },
    demo_corpus(60).with_views(["en"]),
    seeds=2,
    metrics=["tu", "classification"],
    progress=False,
)
print(result.frame().to_csv())
"""


@pytest.mark.slow
def test_the_same_in_any_process() -> None:
    found = []
    for hashed in ("0", "3"):
        environment = {**os.environ, "PYTHONHASHSEED": hashed}
        script = [sys.executable, "-c", SCRIPT]
        found.append(subprocess.check_output(script, text=True, env=environment))
    assert found[0] == found[1]
    assert found[0].count("\n") > 6


def test_models_of_three_packages_on_the_same_embeddings(
    texts: MultiviewDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from contextualized_topic_models.models.ctm import CombinedTM, ZeroShotTM

    monkeypatch.chdir(tmp_path)
    short = {"n_components": 3, "num_epochs": 1, "batch_size": 16}
    contenders = {
        "ours": M3LContrast(num_topics=3, epochs=1, batch_size=16),
        "LDA": LDA(num_topics=3),
        "NMF": NMF(num_topics=3),
        "CTM of OCTIS": CTM(num_topics=3, num_epochs=1, batch_size=16),
        "ZeroShotTM": OfContextualized(ZeroShotTM, **short, loss_weights={"beta": 0.5}),
        "SuperCTM": OfContextualized(CombinedTM, labels=True, **short),
    }
    options: dict[str, Any] = {"metrics": ["mrr", "tu", "classification"]}
    result = quickly(contenders, texts, seeds=2, out="out", **options)
    assert not result.failed
    assert list(Path().iterdir()) == [Path("out")]
    assert list(result.standings["mrr", ALL]) == ["ours"]
    for measure in ("tu", "classification"):
        assert list(result.standings[measure, ALL]) == list(contenders)
    by_seed = {run.seed: run.topics for run in result.runs if run.contender == "LDA"}
    again = quickly({"LDA": contenders["LDA"]}, texts, seeds=[1], **options)
    assert again.runs[0].topics == by_seed[1] != by_seed[0]
    assert by_seed[1].keys() == {"en", "de"}


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_gloctm_takes_word_vectors_from_links_as_it_does_alone(texts: MultiviewDataset) -> None:
    few: dict[str, Any] = {"num_topics": 3, "epochs": 1, "batch_size": 32}
    result = quickly({"GloCTM": GloCTM(**few)}, texts, seeds=1, metrics=["tu"])
    assert not result.failed
    alone = GloCTM(**few).train_model(texts)
    assert result.runs[0].topics == {name: alone.topics(name) for name in ("en", "de")}


def test_octis_models_see_the_words_of_every_script() -> None:
    words = [
        "घर",
        "नदी",
        "पहाड़",
        "ไทย",
        "河",
        "é",
        "x",
        "don't",
        "l'eau",
        "covid-19",
        "c++",
        "Haus",
    ]
    random = np.random.default_rng(0)
    plain: Any = {"lowercase": False, "stop_words": False, "min_word_length": 1}
    dataset = MultiviewDataset.from_lists(
        {"a": [" ".join(random.choice(words, 8)) for _ in range(60)]},
        partition=["train"] * 40 + ["validation"] * 10 + ["test"] * 10,
        preprocessing={"a": TextPreprocessor(tokenizer=str.split, **plain)},
    )
    assert len(dataset.text_view("a").vocabulary) == len(words)
    model = OfOCTIS(ProdLDA(num_topics=2, num_epochs=1, batch_size=16))
    output = model.run(dataset, 0, 0, Terms(top_words=10))
    assert output["topics/a"].shape == (2, 10)


@pytest.mark.parametrize("partition", ["validation", "test"])
def test_octis_models_give_all_topics_to_documents_of_the_partition_wanted(
    texts: MultiviewDataset, partition: str
) -> None:
    output = OfOCTIS(LDA(num_topics=30)).run(texts, 0, 0, Terms(partition))
    found = {k: theta for k, theta in output.items() if k.endswith("topic-document-matrix/de")}
    keys = {"topic-document-matrix/de": "train"}
    keys[f"{partition}-topic-document-matrix/de"] = partition
    assert found.keys() == keys.keys()
    for key, theta in found.items():
        rows = texts.text_view("de").rows(keys[key])
        assert theta.shape[1] == rows.stop - rows.start
        assert (theta > 0).all()
        np.testing.assert_allclose(theta.sum(axis=0), 1.0)


def test_ready_results_may_come_in_bertopic_s_form(texts: MultiviewDataset) -> None:
    view = texts.text_view("en")
    inputs = len(view) if view.inputs is None else view.inputs
    words = list(view.vocabulary)
    theta = np.random.default_rng(0).random((inputs, 2))
    theta[0] = 0
    topics = {-1: [("the", 0.1)], 1: [(w, 0.2) for w in words[10:20]], 0: ["?", *words[:10]]}
    ready = External({"en": topics}, {"en": theta})
    result = quickly({"BERTopic": ready}, texts, seeds=3, metrics=["tu"])
    assert len(result.runs) == 1
    assert result.runs[0].topics["en"] == [words[:10], words[10:20]]
    output = ready.run(texts, 0, 0, Terms())
    rows = view.input_rows[view.rows("test")]
    expected = theta[rows] / theta[rows].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(output["test-topic-document-matrix/en"].T, expected)
    short = External({"en": [words[:3]]})
    assert quickly({"x": short}, texts, topk=3).standings["tu", "en"]["x"].mean == 1.0
    german = list(texts.text_view("de").vocabulary[:10])
    uneven = External({"en": [words[:10]], "de": [german] * 2}, aligned=True)
    for wrong, message in (
        (short, r"x: topic 0 of view 'en' has 3 words .*smaller topk"),
        (uneven, r"aligned topics, but their number differs by view: \[1, 2"),
        (External({}, {"en": theta[1:]}), r"expected \d+ rows and a column for each topic"),
        (External({"en": [words[:10]]}, {"en": theta}), "θ has 2 topics, the lists of words 1"),
        (External({}, {"en": -theta}), "has a negative weight in row 1"),
        (External({}, {"en": {"tset": theta}}), "unknown partition 'tset'"),
    ):
        with pytest.raises(DataError, match=message):
            quickly({"x": wrong}, texts)


def test_ready_results_may_lack_documents(texts: MultiviewDataset) -> None:
    theta = np.full((texts.text_view("en").sizes[2], 2), 0.5)
    theta[0] = np.nan
    output = External({}, {"en": {"test": theta}}).run(texts, 0, 0, Terms())
    found = output["test-topic-document-matrix/en"].T
    assert np.isnan(found[0]).all()
    np.testing.assert_array_equal(found[1:], 0.5)
    with pytest.raises(DataError, match="θ of view 'en' is finite for none of"):
        External({}, {"en": {"test": theta * np.nan}}).check(texts, Terms())


def test_what_a_contender_was_given_tells_it_from_others() -> None:
    few, many = (OfOCTIS(LDA(num_topics=2, alpha=[a, a])).describe() for a in (0.1, 9.0))
    assert few["whole"]
    assert few != many
    own: Any = {"en": object()}
    taught: Any = contender("zeroshot-tm-kd")
    taught.model.teacher = M3LContrast()
    for model in (M3LContrast(encoders=own), taught.model):
        assert not Ours(model).describe()["whole"]


def test_contenders_from_a_file(dataset: MultiviewDataset, tmp_path: Path) -> None:
    words = list(dataset.text_view("en").vocabulary)
    (tmp_path / "topics.json").write_text(json.dumps([words[:10]]), encoding="utf-8")
    np.save(tmp_path / "theta.npy", np.ones((dataset.text_view("en").sizes[2], 1)))
    np.save(tmp_path / "words.npy", np.array(["a", "b"]))
    file = tmp_path / "models.yaml"
    file.write_text(
        "LDA: {model: octis.LDA, passes: 2}\n"
        "m3l-contrast: {num_topics: 5}\n"
        "wide: {model: ctm.CombinedTM, hidden_sizes: [50, 50]}\n"
        "mine: {topics: {en: topics.json}, theta: {en: {test: theta.npy}}}\n",
        encoding="utf-8",
    )
    found: Any = read_contenders(file, topics=7)
    assert list(found) == ["LDA", "m3l-contrast", "wide", "mine"]
    assert found["wide"].arguments["hidden_sizes"] == (50, 50)
    assert found["LDA"].model.hyperparameters["passes"] == 2
    assert found["LDA"].model.hyperparameters["num_topics"] == 7
    assert found["m3l-contrast"].model.hyperparameters["num_topics"] == 5
    found["mine"].check(dataset, Terms())
    for text, message in (
        ("- a", "expected a name with its settings"),
        ("a: {model: octis.LDS}", "unknown model 'octis.LDS'"),
        ("a: {model: octis.LDA, passe: 2}", "passe"),
        ("a: {model: ctm.CombinedTM, n_component: 2}", "n_component"),
        ("a: {topics: {en: nothing.json}}", "nothing.json"),
        ("a: {topics: {}, thetas: {}}", "a: unknown entry 'thetas'. Did you mean 'theta'"),
        ("a: {topics: {en: 5}}", "a: "),
        ("a: {topics: {en: topics.json}, theta: {en: words.npy}}", "expected an array of numbers"),
        ("octis.LDA: {topics: 5}", "octis.LDA: "),
        ("octis.LDA: {num_topics: ten}", "num_topics='ten': expected a whole number"),
        ("octis.CombinedTM: {inference_type: zeroshot}", "is what its name says"),
        ("ctm.CombinedTM: {num_data_loader_workers: 2}", "leave it out; compare sets it"),
        ("a: {model: pltm}\na: {model: octis.LDA}", "'a' is there twice"),
        ("octis.ETM: {embeddings_path: v.pkl}", r"'v.pkl' would be read as a pickle.*--trusted"),
    ):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(SettingsError, match=message):
            read_contenders(file)
    for trusted, kind in ((True, "keyedvectors"), (True, "pickle"), (False, "word2vec")):
        file.write_text(f"octis.ETM: {{embeddings_path: v, embeddings_type: {kind}}}")
        assert list(read_contenders(file, trusted=trusted)) == ["octis.ETM"]


def test_every_model_has_the_same_k_and_octis_models_read_the_documents_often() -> None:
    names = ["m3l-contrast", "octis.LDA", "ctm.CombinedTM"]
    ours, lda, combined = (contender(name) for name in names)  # type: Any
    assert ours.model.hyperparameters["num_topics"] == 50
    assert lda.model.hyperparameters["num_topics"] == 50
    assert lda.model.hyperparameters["passes"] == 20
    assert combined.arguments["n_components"] == 50
    nmf: Any = contender("octis.NMF", 7, passes=3)
    assert nmf.model.hyperparameters["passes"] == 3

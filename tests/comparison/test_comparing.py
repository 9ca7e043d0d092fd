"""The runner: what is trained, stored, tried again and refused."""

import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from octis.evaluation_metrics.classification_metrics import F1Score
from octis.evaluation_metrics.diversity_metrics import TopicDiversity
from octis.evaluation_metrics.metrics import AbstractMetric
from octis.models.CTM import CTM
from octis.models.ETM import ETM
from octis.models.LDA import LDA
from octis.models.ProdLDA import ProdLDA

from octis_m3l import (
    MRR,
    PLTM,
    Comparison,
    External,
    GloCTM,
    InfoCTM,
    M3LContrast,
    MultiviewDataset,
    OnView,
    compare,
)
from octis_m3l.comparison.contenders import Terms
from octis_m3l.comparison.result import ALL
from octis_m3l.comparison.specifications import contender
from octis_m3l.errors import OctisM3LError, StorageError
from octis_m3l.reports import comparison_markdown
from octis_m3l.search import Executor, Outcome, Task
from tests.comparison.toy import Guesser, Spoilt, quickly
from tests.shell import Refused, Run

LISTS = {
    "en": ["Snow fell on the summit.", "The baker kneads dough.", "A train left the station."] * 20,
    "de": ["Schnee fiel auf den Gipfel.", "Der Bäcker knetet Teig.", "Ein Zug fuhr ab."] * 20,
}


def test_scores_are_the_measures_own_item_by_item(dataset: MultiviewDataset) -> None:
    sharp = Guesser(0.05)
    result = quickly({"sharp": sharp, "blurred": Guesser(0.9)}, dataset, seeds=3)
    metric = MRR(dataset, "en", "de")
    by_hand = [metric.per_item(sharp.run(dataset, seed, 0, Terms())) for seed in range(3)]
    place = result.standings["mrr", "en-de"]["sharp"]
    assert place.mean == pytest.approx(np.mean(by_hand))
    assert place.std == pytest.approx(np.std([one.mean() for one in by_hand], ddof=1))
    assert (place.runs, place.tuples) == (3, len(by_hand[0]))
    assert place.best
    assert result.standings["mrr", ALL]["blurred"].p < 0.05
    assert not result.standings["mrr", ALL]["blurred"].tied
    # Both show the same words.
    assert result.standings["tu", ALL]["blurred"].best
    frames = pd.concat(result.item_frames())
    items = frames.query("contender == 'sharp' and where == 'en-de' and seed == 1")
    assert items["tuple"].tolist() == metric.item_tuples().tolist()
    assert items.score.tolist() == pytest.approx(by_hand[1].tolist())
    assert {"contender", "seed", "measure", "where", "score"} == set(result.run_frame().columns)


def test_no_measure_across_views_where_topics_are_not_aligned(dataset: MultiviewDataset) -> None:
    result = quickly({"apart": Guesser(0.1, aligned=False)}, dataset, seeds=1, metrics=None)
    measures = {measure for measure, _ in result.standings}
    assert {"tu", "document-npmi", "classification"} <= measures
    assert not measures & {"mrr", "uap", "jsd", "classification across"}


@pytest.mark.parametrize(("encoder", "equal"), [("clsi", False), ("lsa", True)])
def test_models_know_which_views_one_encoder_encodes(
    texts: MultiviewDataset, encoder: Any, equal: bool
) -> None:
    fast: dict[str, Any] = {"num_topics": 4, "epochs": 2, "batch_size": 16, "hidden_size": 8}
    models = {how: M3LContrast(**fast, shared_networks=how) for how in ("none", "auto")}
    result = quickly(models, texts, seeds=1, encoder=encoder, metrics=["mrr"])
    scores = {how: result.standings["mrr", ALL][how].mean for how in models}
    assert (scores["none"] == scores["auto"]) == equal


def test_a_comparison_goes_on_and_grows(dataset: MultiviewDataset, tmp_path: Path) -> None:
    journal, out = tmp_path / "journal", tmp_path / "out"
    one, other = Guesser(0.1, journal=journal), Guesser(0.5)
    quickly({"a/b: 1": one}, dataset, seeds=2, out=out)
    assert journal.read_text().split() == ["0", "1"]
    result = quickly({"a/b: 1": one, "other": other}, dataset, seeds=3, out=out)
    assert journal.read_text().split() == ["0", "1", "2"]
    assert len(result.runs) == 6
    again = Comparison.from_folder(out)
    assert again.names == ["a/b: 1", "other"]
    assert again.frame().equals(result.frame())
    # What a process leaves that is killed while it writes.
    (out / "runs" / ".other-0.json-x1.json").write_text("{", encoding="utf-8")
    assert len(Comparison.from_folder(out).runs) == 6
    labelled = [replace(view, labels=["x"] * len(view)) for view in dataset.views.values()]
    relabelled = MultiviewDataset(labelled, dataset.links, metadata=dataset.metadata)
    full = tmp_path / "full"
    full.mkdir()
    (full / "letter.txt").touch()
    for contenders, data, options, message in (
        ({"other": Guesser(0.4)}, dataset, {"seeds": [7]}, "holds runs of another 'other'"),
        (
            {"other": other},
            relabelled,
            {},
            "holds a comparison with other embeddings, labels, word",
        ),
        ({"x": one}, dataset, {"partition": "validation", "topk": 5}, "with other partition, topk"),
        ({"x": one}, dataset, {"out": full}, "holds no comparison; choose another"),
    ):
        with pytest.raises(StorageError, match=message):
            quickly(contenders, data, **{"out": out, **options})
    with pytest.raises(StorageError, match="holds no comparison"):
        Comparison.from_folder(full)
    damaged = out / "runs" / "other-0.npz"
    damaged.write_bytes(damaged.read_bytes()[:100])
    with pytest.raises(StorageError, match=r"other-0.json is damaged .* delete it and its .npz"):
        Comparison.from_folder(out)


def test_a_failed_run_is_told_and_tried_again(dataset: MultiviewDataset, tmp_path: Path) -> None:
    reason = tmp_path / "reason"
    reason.touch()

    def fail(output: dict[str, Any], seed: int) -> None:
        if reason.exists():
            raise RuntimeError("out of luck")

    contenders = {"broken": Spoilt(0.1, fail), "sound": Guesser(0.1)}
    with pytest.warns(UserWarning) as told:
        result = quickly(contenders, dataset, seeds=2, out=tmp_path / "out")
    said = [str(warning.message) for warning in told]
    assert said == [f"broken, seed {n}, failed: RuntimeError: out of luck" for n in (0, 1)]
    assert [run.contender for run in result.failed] == ["broken", "broken"]
    assert "toy.py" in (result.failed[0].trace or "")
    assert "broken (2 of 2 failed)" in comparison_markdown(result)
    assert list(result.standings["mrr", ALL]) == ["sound"]
    assert "–" in comparison_markdown(result)
    reason.unlink()
    result = quickly(contenders, dataset, seeds=2, out=tmp_path / "out")
    assert not result.failed
    assert set(result.standings["mrr", ALL]) == {"broken", "sound"}


@pytest.mark.slow
def test_in_processes_as_one_after_another(dataset: MultiviewDataset, tmp_path: Path) -> None:
    contenders = {"a": Guesser(0.1), "b": Guesser(0.5)}
    several = quickly(contenders, dataset, seeds=2, processes=2, out=tmp_path / "o")
    assert quickly(contenders, dataset, seeds=2).frame().equals(several.frame())


class Losing(Executor):
    """Loses the process of every run from seed 1."""

    def outcomes(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        for task in tasks:
            lost = Outcome(task.call, task.run, task.seed, None, 0.0, "its process was killed")
            yield lost if task.seed == 1 else self.job.do(task)


def test_a_run_whose_process_is_lost_has_failed(dataset: MultiviewDataset, tmp_path: Path) -> None:
    contenders = {"a": Guesser(0.1), "b": Guesser(0.5)}
    with pytest.warns(UserWarning, match="b, seed 1, failed: its process was killed"):
        result = quickly(contenders, dataset, seeds=3, out=tmp_path, executor=Losing)
    assert [(run.contender, run.seed) for run in result.failed] == [("a", 1), ("b", 1)]
    assert {name: s.runs for name, s in result.standings["mrr", ALL].items()} == {"a": 2, "b": 2}
    again = quickly(contenders, dataset, seeds=3, out=tmp_path)
    assert not again.failed
    assert again.frame().equals(quickly(contenders, dataset, seeds=3).frame())


class Own(AbstractMetric):  # type: ignore[misc]
    """A metric from elsewhere, of which lower scores are better."""

    direction = "lower"

    def __init__(self, function: Callable[[Any], float]) -> None:
        super().__init__()
        self._function = function

    def score(self, output: Any) -> float:
        return self._function(output)


def test_a_measure_that_does_not_apply_costs_no_run(dataset: MultiviewDataset) -> None:
    only = External({"en": [list(dataset.text_view("en").vocabulary[:10])]})
    others = {
        "nothing": Own(lambda output: float("nan")),
        "far": Own(lambda output: float(np.ptp(output["test-topic-document-matrix/en"]))),
        "de": OnView(TopicDiversity(), "de", dataset),
    }
    contenders = {"a": Guesser(0.1), "b": Guesser(0.9), "en": only}
    options: dict[str, Any] = {"seeds": 1, "metrics": None, "corpus": dataset, "others": others}
    with pytest.warns(UserWarning) as told:
        result = quickly(contenders, dataset, **options)
    assert not result.failed
    lacking = {"a": ["nothing"], "b": ["nothing"], "en": ["de", "far", "nothing"]}
    expected = [f"{name} has no {metric}" for name, of in lacking.items() for metric in of]
    assert sorted({str(warning.message).split(":")[0] for warning in told}) == expected
    far = result.standings["far", ALL]
    assert next(name for name, s in far.items() if s.best) == min(far, key=lambda n: far[n].mean)
    assert result.standings["tu", "en"]["en"].mean == 1.0
    assert ("cnpmi", ALL) in result.standings


def test_a_run_that_lacks_a_measure_of_one_view(dataset: MultiviewDataset, tmp_path: Path) -> None:
    def lose(output: dict[str, Any], seed: int) -> None:
        if seed == 1:
            del output["topics/de"]

    contenders = {"whole": Guesser(0.1), "patchy": Spoilt(0.5, lose)}
    result = quickly(contenders, dataset, seeds=3, out=tmp_path)
    assert result.standings["tu", ALL]["patchy"].runs == 2
    assert result.standings["tu", ALL]["whole"].runs == 3
    assert Comparison.from_folder(tmp_path).frame().equals(result.frame())


def test_who_reads_embeddings_may_come_later(tmp_path: Path) -> None:
    options: dict[str, Any] = {"out": tmp_path, "seeds": 1, "metrics": ["tu"], "topk": 3}
    plain = MultiviewDataset.from_lists(LISTS, split=(0.8, 0.1))
    few: dict[str, Any] = {"num_topics": 3, "epochs": 1, "batch_size": 8}
    quickly({"LDA": LDA(num_topics=3)}, plain, **options)
    later = quickly({"M3L": M3LContrast(**few)}, plain, encoder="lsa", **options)
    assert later.names == ["LDA", "M3L"], "what is in the folder stays in the table"
    assert set(later.standings["tu", ALL]) == {"LDA", "M3L"}
    with pytest.raises(StorageError, match=r"'M3L' of .* read other embeddings than these"):
        quickly({"M3L": M3LContrast(**few)}, plain, encoder="clsi", **options)
    with pytest.raises(StorageError, match=r"another 'LDA' \(num_topics: 3 there, 4 here"):
        quickly({"LDA": LDA(num_topics=4)}, plain, **options)


def test_a_warning_says_whom_it_is_about_once(dataset: MultiviewDataset) -> None:
    def talk(output: dict[str, Any], seed: int) -> None:
        warnings.warn("too few updates", stacklevel=2)

    with pytest.warns(UserWarning) as heard:
        quickly({"a": Spoilt(0.1, talk), "b": Spoilt(0.5, talk)}, dataset, seeds=3)
    assert [str(one.message) for one in heard] == ["a: too few updates", "b: too few updates"]


def test_one_s_own_metrics_go_beside_names(dataset: MultiviewDataset) -> None:
    words = Own(lambda output: float(sum(map(len, output["topics"]))))
    metrics = ["tu", words, MRR(dataset, "en", "de"), F1Score(dataset)]
    found = quickly({"a": Guesser(0.1)}, dataset, seeds=1, metrics=metrics).standings
    assert {name for name, _ in found} == {"tu", "Own", "MRR(en, de, test)", "F1 Score"}
    assert found["Own", ALL]["a"].mean == 40
    asked = quickly({"a": Guesser(0.1)}, dataset, seeds=1, metrics="mrr").standings
    own = found["MRR(en, de, test)", ALL]["a"].mean
    assert own == pytest.approx(asked["mrr", "en-de"]["a"].mean)


def test_one_document_without_topics_costs_the_others_nothing(
    dataset: MultiviewDataset, tmp_path: Path
) -> None:
    def lose(output: dict[str, Any], seed: int) -> None:
        output["test-topic-document-matrix/de"][:, 2] = np.nan

    contenders = {"whole": Guesser(0.1), "lossy": Spoilt(0.1, lose)}
    with pytest.warns(UserWarning) as told:
        result = quickly(contenders, dataset, seeds=3, metrics=["jsd"], out=tmp_path)
    assert [str(one.message) for one in told] == [
        "lossy: the output's 'test-topic-document-matrix/de' is not finite for 1 of 14 items (the "
        "first: item 2); they are left out."
    ]
    by_hand = [r.measured["jsd"]["en-de"].items for r in result.runs if r.contender == "whole"]
    number = dataset.tuples("de")[dataset.view("de").rows("test")][2]
    lost = result.runs[0].measured["jsd"]["en-de"].tuples == number
    items = np.stack(by_hand)[:, ~lost]  # type: ignore[arg-type]
    place = result.standings["jsd", "en-de"]
    assert place["lossy"].mean == pytest.approx(items.mean())
    assert place["lossy"].p == pytest.approx(1.0) or place["whole"].p == pytest.approx(1.0)
    assert np.isfinite([place["lossy"].low, place["lossy"].high]).all()
    assert Comparison.from_folder(tmp_path).frame().equals(result.frame())


@pytest.mark.parametrize(
    ("contenders", "options", "message"),
    [
        ([PLTM()], {}, "contenders is a list; expected a mapping of names to models, as in"),
        ({}, {}, "a model and a seed"),
        ({"a": LDA}, {}, "an object, not a class"),
        ({"a": "octis.LDA"}, {}, "'a' is a str; expected one of our models"),
        ({1: PLTM(), "1": PLTM()}, {}, "two contenders have the same name"),
        ({" ": PLTM()}, {}, "' ' is no name; call each contender something"),
        ({"题" * 30: PLTM()}, {}, "too long a name for files"),
        ({"a": PLTM()}, {"seeds": 0}, "a model and a seed"),
        ({"a": PLTM()}, {"seeds": -1}, "seeds=-1: expected how many"),
        ({"a": PLTM()}, {"seeds": 2.5}, r"seeds=2.5: expected how many \(5\), or which"),
        ({"a": PLTM()}, {"seeds": "3"}, "seeds='3': expected how many"),
        ({"a": PLTM()}, {"seeds": [1.5]}, r"seeds=\[1.5\]: expected how many"),
        ({"a": PLTM()}, {"seeds": [-1]}, "seed -1: expected 0 to"),
        ({"a": PLTM()}, {"seeds": [1, 2**32]}, "seed 4294967296: expected 0 to 2"),
        ({"a": PLTM()}, {"metrics": ["mr"]}, "Did you mean 'mrr'"),
        ({"a": PLTM()}, {"metrics": ["tu", MRR]}, "the class MRR is no metric; expected one that"),
        ({"a": PLTM()}, {"metrics": 5}, "5 is no metric"),
        ({"b": LDA()}, {"metrics": ["mrr"]}, "none of these models has"),
        ({"a": PLTM()}, {"others": {"x": "mrr"}}, "'mrr' is no metric; expected one that is built"),
        ({"a": PLTM()}, {"others": [MRR]}, "others is a list; expected a mapping of names to"),
        ({"a": PLTM()}, {"others": {"mrr": TopicDiversity()}}, "one of the measures"),
        ({"a": PLTM()}, {"topk": "2"}, "topk='2': expected a whole number"),
        ({"a": PLTM()}, {"partition": None}, "unknown partition 'None'"),
        ({"a": PLTM()}, {"partition": "tset"}, "unknown partition 'tset'"),
        ({"a": PLTM()}, {"processes": "2"}, "processes='2': expected 1 or more"),
        ({"a": M3LContrast()}, {"encoder": "bert"}, "unknown encoder 'bert'"),
        ({"a": M3LContrast(device="cuda:7")}, {}, "a: device='cuda:7' is not here: torch sees"),
        ({"a": M3LContrast(encoder="word-vectors")}, {}, "a: view 'en' has no word vectors; att"),
        ({"a": M3LContrast(encoder="given")}, {}, "a: view 'en' has no embeddings; attach them"),
        ({"a": InfoCTM()}, {}, "a: infoctm connects languages by dictionaries, and none"),
        ({"a": GloCTM(encoder="lsa")}, {}, "a: views en, de have no word vectors, and encoder='l"),
        ({"a": M3LContrast(batch_size=500)}, {}, "a: batch_size=500 is larger"),
        ({"a": LDA(num_topics=0)}, {}, "a: num_topics=0: expected a whole"),
        ({"a": ProdLDA()}, {"topk": 12}, "a: topk=12: OCTIS's ProdLDA"),
        (
            {"a": ETM(train_embeddings=False, embeddings_path="no.pkl")},
            {},
            "a: embeddings_path='.*no.pkl': there is no such file",
        ),
        (
            {"a": contender("ctm.ZeroShotTM", 3, batch_size=500)},
            {},
            "a: batch_size=500 is larger than the .* training documents of",
        ),
    ],
)
def test_mistakes_are_one_line_before_any_run(
    texts: MultiviewDataset, contenders: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(OctisM3LError, match=message):
        compare(contenders, texts, **{"progress": False, **options})


def test_data_that_do_not_allow_a_metric_or_model_are_refused_first(
    dataset: MultiviewDataset, texts: MultiviewDataset, tmp_path: Path
) -> None:
    journal, supervised = tmp_path / "journal", contender("ctm.SuperCTM", 3)
    sound = {"a": Guesser(0.1, journal=journal)}
    unlinked = MultiviewDataset(texts.views.values())
    unlabelled = MultiviewDataset.from_lists(LISTS, split=(0.8, 0.1))
    untested = MultiviewDataset.from_lists({"en": LISTS["en"]})
    train = texts.text_view("en").sizes[0]
    for contenders, data, options, message in (
        ({}, unlinked, {"metrics": ["tu", "mrr"]}, "'mrr' needs items of two views"),
        ({}, unlinked, {"metrics": ["cnpmi"]}, "'cnpmi' counts words in linked"),
        ({}, unlabelled, {"metrics": ["classification"]}, "'classification' needs labels"),
        ({}, texts, {"corpus": unlinked}, "the reference corpus .* links no two"),
        ({}, tmp_path, {}, "needs a MultiviewDataset, given a path"),
        ({"g": GloCTM(encoder="lsa")}, unlinked, {}, "g: views en, de have no word vectors, "),
        ({"g": M3LContrast(encoder="clsi")}, unlinked, {}, "g: "),
        ({"b": PLTM()}, dataset, {}, "b: pltm learns from words"),
        ({"b": CTM(batch_size=train - 1)}, texts, {}, "b: batch_size=.* batch of its"),
        ({"b": ProdLDA()}, unlabelled, {}, "b: view 'en' has . words, and this model shows"),
        ({"b": ETM()}, untested, {"partition": "train"}, "b: view 'en' has no validation docume"),
        (
            {"b": supervised},
            unlabelled,
            {"partition": "train"},
            "'en' has training documents without a",
        ),
        ({"p": M3LContrast(patience=3)}, texts.with_split(0.8, 0.0), {}, "p: patience=3: early"),
    ):
        with pytest.raises(OctisM3LError, match=message):
            compare({**sound, **contenders}, data, **{"progress": False, "topk": 3, **options})
    assert not journal.exists()


def test_a_name_that_begins_with_a_dot_is_kept(dataset: MultiviewDataset, tmp_path: Path) -> None:
    result = quickly({".5": Guesser(0.5)}, dataset, seeds=1, out=tmp_path)
    assert result.names == Comparison.from_folder(tmp_path).names == [".5"]


def test_from_a_shell(texts: MultiviewDataset, tmp_path: Path, run: Run, refused: Refused) -> None:
    texts.save(tmp_path / "corpus")
    command = ("compare", tmp_path / "corpus", "--out", tmp_path / "out")
    models = (*command, "--model", "octis.LDA", "--model", "octis.NMF", "--topics", 3, "--seeds", 2)
    tu = (*models, "--metric", "tu")
    refused("name the models: --model", *command)
    refused("unknown model 'octis.LDS'", *command, "--model", "octis.LDS")
    assert not (tmp_path / "out").exists()
    code, out, err = run(*tu)
    assert code == 0, err
    assert "tu ↑" in out
    assert "octis.NMF" in out
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "out" / "runs").iterdir()}
    assert len(before) == 4
    code, out, err = run(*tu, "--json")
    assert code == 0, err
    standings = json.loads(out)["standings"]
    assert {entry["contender"] for entry in standings} == {"octis.LDA", "octis.NMF"}
    assert all(file.stat().st_mtime_ns == time for file, time in before.items())
    assert (tmp_path / "out" / "by-view.md").is_file()
    refused("runs of another 'octis.LDA'", *tu, "--set", "octis.LDA.passes=3")
    for given in ("passes=3", "octis.ETM.passes=3", "octis.LDA=3"):
        refused("expected MODEL.NAME=VALUE, with a model that", *models, "--set", given)
    refused("octis.LDA: ", *models, "--set", "octis.LDA.passe=3")

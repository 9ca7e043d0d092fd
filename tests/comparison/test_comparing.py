"""The runner: what is trained, kept, tried again and shown."""

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
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
from octis.models.NMF import NMF
from octis.models.ProdLDA import ProdLDA
from rich.console import Console

from octis_m3l import (
    MRR,
    NMTM,
    PLTM,
    Comparison,
    External,
    GloCTM,
    InfoCTM,
    M3LContrast,
    MultiviewDataset,
    OfContextualized,
    OnView,
    TextPreprocessor,
    compare,
    demo_corpus,
)
from octis_m3l.cli import main
from octis_m3l.comparison import OfOCTIS, Ours
from octis_m3l.comparison.contenders import Terms
from octis_m3l.comparison.result import ALL
from octis_m3l.comparison.specifications import contender, read_contenders
from octis_m3l.errors import DataError, OctisM3LError, SettingsError, StorageError
from octis_m3l.reports import (
    comparison_latex,
    comparison_markdown,
    comparison_table,
    write_comparison,
)
from octis_m3l.reports.comparison_tables import _latex
from octis_m3l.search import Executor, Outcome, Task
from octis_m3l.search.runs import seeded
from tests.comparison.toy import Broken, Guesser

QUICK = {"metrics": ["mrr", "tu"], "progress": False}


@pytest.fixture(scope="module")
def dataset() -> MultiviewDataset:
    return demo_corpus(80)


@pytest.fixture(scope="module")
def texts(dataset: MultiviewDataset) -> MultiviewDataset:
    return dataset.with_views(["en", "de"])


def test_scores_are_the_measures_own_item_by_item(dataset: MultiviewDataset) -> None:
    sharp, blurred = Guesser(0.05), Guesser(0.9)
    result = compare({"sharp": sharp, "blurred": blurred}, dataset, seeds=3, **QUICK)
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
    result = compare({"apart": Guesser(0.1, aligned=False)}, dataset, seeds=1, progress=False)
    measures = {measure for measure, _ in result.standings}
    assert {"tu", "document-npmi", "classification"} <= measures
    assert not measures & {"mrr", "uap", "jsd", "classification across"}


def relabelled(dataset: MultiviewDataset) -> MultiviewDataset:
    views = [replace(view, labels=["x"] * len(view)) for view in dataset.views.values()]
    return MultiviewDataset(
        views, links=dataset.links, pivot=dataset.pivot, metadata=dataset.metadata
    )


def test_a_comparison_goes_on_and_grows(dataset: MultiviewDataset, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    out = tmp_path / "out"
    one = Guesser(0.1, journal=journal)
    compare({"a/b: 1": one}, dataset, seeds=2, out=out, **QUICK)
    assert journal.read_text().split() == ["0", "1"]
    result = compare({"a/b: 1": one, "other": Guesser(0.5)}, dataset, seeds=3, out=out, **QUICK)
    assert journal.read_text().split() == ["0", "1", "2"]
    assert len(result.runs) == 6
    again = Comparison.from_folder(out)
    assert again.names == ["a/b: 1", "other"]
    assert again.frame().equals(result.frame())
    with pytest.raises(StorageError, match="holds runs of another 'other'"):
        compare({"other": Guesser(0.4)}, dataset, seeds=[7], out=out, **QUICK)
    with pytest.raises(
        StorageError, match="holds a comparison with other embeddings, labels, word"
    ):
        compare({"other": Guesser(0.5)}, relabelled(dataset), seeds=1, out=out, **QUICK)
    # What a process leaves that is killed while it writes.
    (out / "runs" / ".other-0.json-x1.json").write_text("{", encoding="utf-8")
    assert len(Comparison.from_folder(out).runs) == 6
    damaged = out / "runs" / "other-0.npz"
    damaged.write_bytes(damaged.read_bytes()[:100])
    with pytest.raises(StorageError, match=r"other-0.json or its .npz is damaged .* delete both"):
        Comparison.from_folder(out)
    with pytest.raises(StorageError, match="holds a comparison with other partition, topk"):
        compare({"x": one}, dataset, out=out, partition="validation", topk=5, **QUICK)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").touch()
    with pytest.raises(StorageError, match="holds no comparison; choose another"):
        compare({"x": one}, dataset, out=tmp_path / "full", **QUICK)
    with pytest.raises(StorageError, match="holds no comparison"):
        Comparison.from_folder(tmp_path / "full")


def test_a_failed_run_is_told_and_tried_again(dataset: MultiviewDataset, tmp_path: Path) -> None:
    reason = tmp_path / "reason"
    reason.touch()
    contenders = {"broken": Broken(reason), "sound": Guesser(0.1)}
    with pytest.warns(UserWarning) as told:
        result = compare(contenders, dataset, seeds=2, out=tmp_path / "out", **QUICK)
    said = [str(warning.message) for warning in told]
    assert said == [f"broken, seed {n}, failed: RuntimeError: out of luck" for n in (0, 1)]
    assert [run.contender for run in result.failed] == ["broken", "broken"]
    assert "toy.py" in (result.failed[0].trace or "")
    assert "broken (2 of 2 failed)" in comparison_markdown(result)
    assert list(result.standings["mrr", ALL]) == ["sound"]
    assert "–" in comparison_markdown(result)
    reason.unlink()
    result = compare(contenders, dataset, seeds=2, out=tmp_path / "out", **QUICK)
    assert not result.failed
    assert set(result.standings["mrr", ALL]) == {"broken", "sound"}


def test_in_processes_as_one_after_another(dataset: MultiviewDataset, tmp_path: Path) -> None:
    contenders = {"a": Guesser(0.1), "b": Guesser(0.5)}
    alone = compare(contenders, dataset, seeds=2, **QUICK)
    several = compare(contenders, dataset, seeds=2, processes=2, out=tmp_path / "o", **QUICK)
    assert alone.frame().equals(several.frame())


class Losing(Executor):
    """Loses the process of every run from seed 1."""

    def outcomes(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        for task in tasks:
            lost = Outcome(task.call, task.run, task.seed, None, 0.0, "its process was killed")
            yield lost if task.seed == 1 else self.job.do(task)


def test_a_run_whose_process_is_lost_has_failed(dataset: MultiviewDataset, tmp_path: Path) -> None:
    contenders = {"a": Guesser(0.1), "b": Guesser(0.5)}
    options: dict[str, Any] = {"seeds": 3, "out": tmp_path / "out", **QUICK}
    with pytest.warns(UserWarning, match="b, seed 1, failed: its process was killed"):
        result = compare(contenders, dataset, executor=Losing, **options)
    assert [(run.contender, run.seed) for run in result.failed] == [("a", 1), ("b", 1)]
    assert {name: s.runs for name, s in result.standings["mrr", ALL].items()} == {"a": 2, "b": 2}
    again = compare(contenders, dataset, **options)
    assert not again.failed
    assert again.frame().equals(compare(contenders, dataset, seeds=3, **QUICK).frame())


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
    options: dict[str, Any] = {"metrics": ["mrr", "tu", "classification"], "progress": False}
    result = compare(contenders, texts, seeds=2, out="out", **options)
    assert not result.failed
    assert list(Path().iterdir()) == [Path("out")]
    assert list(result.standings["mrr", ALL]) == ["ours"]
    for measure in ("tu", "classification"):
        assert list(result.standings[measure, ALL]) == list(contenders)
    by_seed = {run.contender: run for run in result.runs if run.seed == 1}
    again = compare({"LDA": contenders["LDA"]}, texts, seeds=[1], **options)
    assert again.runs[0].topics == by_seed["LDA"].topics
    assert by_seed["LDA"].topics.keys() == {"en", "de"}
    assert by_seed["LDA"].topics != next(
        run.topics for run in result.runs if run.contender == "LDA" and run.seed == 0
    )


def test_lda_gives_all_topics_to_documents_of_every_partition(texts: MultiviewDataset) -> None:
    output = OfOCTIS(LDA(num_topics=30)).run(texts, 0, 0, Terms())
    assert (output["topic-document-matrix/en"] > 0).all()
    assert (output["test-topic-document-matrix/en"] > 0).all()


def test_octis_models_see_the_words_of_every_script() -> None:
    words = [
        "घर",
        "नदी",
        "पहाड़",
        "don't",
        "l'eau",
        "Haus",
        "covid-19",
        "ไทย",
        "河",
        "c++",
        "é",
        "x",
    ]
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(words, 8)) for _ in range(60)]
    dataset = MultiviewDataset.from_lists(
        {"a": texts},
        partition=["train"] * 40 + ["validation"] * 10 + ["test"] * 10,
        preprocessing={
            "a": TextPreprocessor(
                tokenizer=str.split, lowercase=False, stop_words=False, min_word_length=1
            )
        },
    )
    known = set(dataset.text_view("a").vocabulary)
    assert len(known) == len(words)
    output = OfOCTIS(ProdLDA(num_topics=2, num_epochs=1, batch_size=16)).run(
        dataset, 0, 0, Terms(top_words=10)
    )
    assert output["topics/a"].shape == (2, 10)


def test_a_measure_that_does_not_apply_costs_no_run(dataset: MultiviewDataset) -> None:
    class Nothing(AbstractMetric):  # type: ignore[misc]
        direction = "lower"

        def score(self, output: Any) -> float:
            return float("nan")

    class Far(Nothing):
        def score(self, output: Any) -> float:
            return float(np.ptp(output["test-topic-document-matrix/en"]))

    only = External({"en": [list(dataset.text_view("en").vocabulary[:10])]})
    others = {"nothing": Nothing(), "far": Far(), "de": OnView(TopicDiversity(), "de", dataset)}
    with pytest.warns(UserWarning) as told:
        result = compare(
            {"a": Guesser(0.1), "b": Guesser(0.9), "en": only},
            dataset,
            seeds=1,
            corpus=dataset,
            others=others,
            progress=False,
        )
    assert not result.failed
    said = sorted({str(warning.message).split(":")[0] for warning in told})
    assert said == [
        "a has no nothing",
        "b has no nothing",
        "en has no de",
        "en has no far",
        "en has no nothing",
    ]
    far = result.standings["far", ALL]
    assert next(name for name, s in far.items() if s.best) == min(far, key=lambda n: far[n].mean)
    assert result.standings["tu", "en"]["en"].mean == 1.0
    assert ("cnpmi", ALL) in result.standings


@pytest.mark.parametrize("partition", ["validation", "test"])
def test_octis_models_are_scored_on_the_partition_wanted(
    texts: MultiviewDataset, partition: str
) -> None:
    output = OfOCTIS(LDA(num_topics=3)).run(texts, 0, 0, Terms(partition))
    view = texts.text_view("de")
    theta = output["topic-document-matrix/de"]
    held_out = [key for key in output if key.endswith("topic-document-matrix/de")]
    assert len(held_out) == 2
    assert theta.shape[1] == view.sizes[0]
    other = output[f"{partition}-topic-document-matrix/de"]
    rows = view.rows(partition)
    assert other.shape[1] == rows.stop - rows.start
    np.testing.assert_allclose(other.sum(axis=0), 1.0)


def test_ready_results_may_come_in_bertopic_s_form(texts: MultiviewDataset) -> None:
    view = texts.text_view("en")
    inputs = len(view) if view.inputs is None else view.inputs
    words = list(view.vocabulary)
    theta = np.random.default_rng(0).random((inputs, 2))
    theta[0] = 0
    topics = {-1: [("the", 0.1)], 1: [(w, 0.2) for w in words[10:20]], 0: ["?", *words[:10]]}
    ready = External({"en": topics}, {"en": theta})
    result = compare({"BERTopic": ready}, texts, seeds=3, metrics=["tu"], progress=False)
    assert len(result.runs) == 1
    assert result.runs[0].topics["en"] == [words[:10], words[10:20]]
    output = ready.run(texts, 0, 0, Terms())
    rows = view.input_rows[view.rows("test")]
    expected = theta[rows] / theta[rows].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(output["test-topic-document-matrix/en"].T, expected)
    short = {"short": External({"en": [words[:3]]})}
    with pytest.raises(DataError, match=r"short: topic 0 of view 'en' has 3 words .*smaller topk"):
        compare(short, texts, **QUICK)
    assert compare(short, texts, topk=3, **QUICK).standings["tu", "en"]["short"].mean == 1.0
    uneven = External({"en": [words[:10]], "de": [words[:10]] * 2}, aligned=True)
    uneven.topics["de"] = [list(texts.text_view("de").vocabulary[:10])] * 2
    with pytest.raises(
        DataError, match=r"aligned topics, but their number differs by view: \[1, 2"
    ):
        compare({"x": uneven}, texts, **QUICK)
    with pytest.raises(DataError, match=r"expected \d+ rows and a column for each topic"):
        compare({"x": External({}, {"en": theta[1:]})}, texts, **QUICK)
    with pytest.raises(DataError, match="θ has 2 topics, the lists of words 1"):
        compare({"x": External({"en": [words[:10]]}, {"en": theta})}, texts, **QUICK)
    with pytest.raises(DataError, match="has a negative weight in row 1"):
        compare({"x": External({}, {"en": -theta})}, texts, **QUICK)
    with pytest.raises(DataError, match="unknown partition 'tset'"):
        compare({"x": External({}, {"en": {"tset": theta}})}, texts, **QUICK)


def test_what_a_contender_was_given_tells_it_from_others() -> None:
    few, many = (OfOCTIS(LDA(num_topics=2, alpha=[a, a])).describe() for a in (0.1, 9.0))
    assert few["whole"]
    assert few != many
    own: Any = {"en": object()}
    taught = contender("zeroshot-tm-kd")
    taught.model.teacher = M3LContrast()  # type: ignore[attr-defined]
    for model in (M3LContrast(encoders=own), taught.model):  # type: ignore[attr-defined]
        assert not Ours(model).describe()["whole"]


def test_everything_that_does_not_fit_is_said_before_any_run(
    dataset: MultiviewDataset, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    sound = Guesser(0.1, journal=journal)
    unlabelled = MultiviewDataset.from_lists(
        {"en": [f"red green blue pink grey w{n % 7} w{n % 5} w{n % 3}" for n in range(60)]},
    )
    untested = unlabelled
    for given, data, options, error, message in (
        ({}, dataset, {}, SettingsError, "a model and a seed"),
        ({"a": sound}, dataset, {"seeds": 0}, SettingsError, "a model and a seed"),
        ({"a": sound}, dataset, {"metrics": ["mr"]}, SettingsError, "Did you mean 'mrr'"),
        ({"a": sound}, dataset, {"partition": "tset"}, SettingsError, "unknown partition"),
        ({"a": sound, "b": LDA}, dataset, {}, SettingsError, "an object, not a class"),
        ({"a": sound}, dataset, {"seeds": [-1]}, SettingsError, "seed -1: expected 0 to"),
        ({"a": sound}, dataset, {"processes": 0}, SettingsError, "processes=0: expected 1"),
        ({"题" * 30: sound}, dataset, {}, SettingsError, "too long a name for files"),
        (
            {"a": sound},
            dataset,
            {"others": {"mrr": TopicDiversity()}},
            SettingsError,
            "one of the measures",
        ),
        ({"b": LDA()}, dataset, {"metrics": ["mrr"]}, SettingsError, "none of these models has"),
        (
            {"a": sound, "b": ETM(train_embeddings=False, embeddings_path="no.pkl")},
            dataset,
            {},
            SettingsError,
            "b: embeddings_path='.*no.pkl': there is no such file",
        ),
        ({"b": ProdLDA()}, dataset, {"topk": 12}, SettingsError, "b: topk=12: OCTIS's ProdLDA"),
        (
            {"b": contender("ctm.ZeroShotTM", 3, batch_size=500)},
            dataset,
            {},
            SettingsError,
            "b: batch_size=500 is larger than the .* training documents of",
        ),
        (
            {"a": sound, "b": ProdLDA()},
            untested,
            {"partition": "train"},
            DataError,
            "b: view 'en' has no validation documents, which this model needs",
        ),
        ({"a": sound, "b": contender("pltm")}, dataset, {}, DataError, "b: pltm learns from words"),
        (
            {"a": sound, "b": contender("ctm.SuperCTM", 3)},
            unlabelled,
            {"partition": "train"},
            DataError,
            "b: view 'en' has training documents without a label",
        ),
        ({"a": sound}, tmp_path, {}, DataError, "needs a data set, given a"),
    ):
        with pytest.raises(error, match=message):
            compare(given, data, **{"progress": False, **options})
    assert not journal.exists()


def test_other_packages_measures_go_beside_ours(dataset: MultiviewDataset) -> None:
    diversity = OnView(TopicDiversity(topk=10), "de", dataset)
    result = compare(
        {"a": Guesser(0.1)}, dataset, others={"diversity": diversity}, seeds=2, **QUICK
    )
    assert result.standings["diversity", ALL]["a"].mean == pytest.approx(
        result.standings["tu", "de"]["a"].mean
    )


def test_tables(dataset: MultiviewDataset, tmp_path: Path) -> None:
    contenders = {"A_1": Guesser(0.05), "B & C": Guesser(0.9), "D|^{~\\$#": Guesser(0.5)}
    result = compare(contenders, dataset, seeds=3, **QUICK)
    console = Console(width=300, record=True)
    console.print(comparison_table(result, by_view=True))
    shown = console.export_text()
    assert "mrr (en-de) ↑" in shown
    assert "best in" in shown
    narrow = Console(width=45, record=True)
    narrow.print(comparison_table(result))
    narrowly = narrow.export_text()
    assert "…" not in narrowly
    assert len([line for line in narrowly.splitlines() if "best in" in line and "┃" in line]) == 1
    assert narrowly.count("B & C") > 1
    for (measure, where), standings in result.standings.items():
        if where == ALL:
            assert f"{measure} " in narrowly
            assert f"{standings['A_1'].mean:.3f} ± {standings['A_1'].std:.3f}" in narrowly
    assert "with fewer than 5 runs" in comparison_markdown(result)
    best = result.standings["mrr", ALL]["A_1"]
    markdown = comparison_markdown(result)
    assert f"**{best.mean:.3f} ± {best.std:.3f}**" in markdown
    latex = comparison_latex(result)
    assert "A\\_1 & \\textbf{" in latex
    assert "B \\& C" in latex
    assert "mrr $\\uparrow$" in latex
    assert latex.count("\\\\\n") == 4
    assert "D$|$\\textasciicircum{}\\{\\textasciitilde{}\\textbackslash{}\\$\\#" in latex
    assert "| D\\|^{\\~\\\\$#" in markdown
    assert "over 3 runs" in markdown
    files = write_comparison(result, tmp_path)
    assert all(file.stat().st_size for file in files)
    frame = pd.read_csv(tmp_path / "standings.csv")
    row = frame.query("contender == 'A_1' and measure == 'mrr' and `where` == 'all views'").iloc[0]
    assert row["mean"] == pytest.approx(best.mean)
    assert row["low"] < row["mean"] < row["high"]


def test_no_name_breaks_a_table_or_is_taken_for_a_formula(
    dataset: MultiviewDataset, tmp_path: Path
) -> None:
    names = ["=1+1", "-1.5", "@a", "+x", "a\n| b", "`c`", "<i>[d](e)", "esc\x1b[31m", "\u202eg"]
    contenders = {name: Guesser(0.1 * number) for number, name in enumerate(names, 1)}
    result = compare(contenders, dataset, seeds=1, metrics=["mrr"], progress=False)
    write_comparison(result, tmp_path)
    markdown = (tmp_path / "table.md").read_text()
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(names)
    for shown in ("a \\| b", "\\`c\\`", "&lt;i>[d]\\(e)", "esc\\\\u001b[31m", "\\\\u202eg"):
        assert f"| {shown}" in markdown
    latex = (tmp_path / "table.tex").read_text()
    assert latex.count("\\\\\n") == 1 + len(names)
    assert "$<$i$>$[d](e)" in latex
    console = Console(width=200, record=True)
    console.print(comparison_table(result))
    shown = console.export_text()
    assert "esc\\u001b[31m" in shown
    for file in ("table.md", "table.tex"):
        assert not {"\x1b", "\u202e"} & {*(tmp_path / file).read_text(), *shown}
    for file in ("standings.csv", "runs.csv", "items.csv"):
        kept = {*pd.read_csv(tmp_path / file, dtype=str)["contender"]}
        assert kept == {"'=1+1", "-1.5", "'@a", "'+x", *names[4:]}
    assert pd.read_csv(tmp_path / "standings.csv")["mean"].dtype == float


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
        ("a: {topics: {}, thetas: {}}", "unknown entry 'thetas'"),
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


def test_global_generators_are_left_as_they_were() -> None:
    before = np.random.get_state()[1].copy()
    with seeded(3):
        np.random.random()
    assert (np.random.get_state()[1] == before).all()


def test_from_a_shell(
    texts: MultiviewDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    texts.save(tmp_path / "corpus")

    def run(*arguments: Any) -> tuple[int, str, str]:
        words = ["compare", tmp_path / "corpus", "--out", tmp_path / "out", *arguments]
        monkeypatch.setattr(sys, "argv", ["octis-m3l", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, " ".join(err.split())

    assert "name the models: --model" in run()[2]
    assert "unknown model 'octis.LDS'" in run("--model", "octis.LDS")[2]
    assert not (tmp_path / "out").exists()
    models = ("--model", "octis.LDA", "--model", "octis.NMF", "--topics", 3, "--seeds", 2)
    code, out, err = run(*models, "--metric", "tu")
    assert code == 0, err
    assert "tu ↑" in out
    assert "octis.NMF" in out
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "out" / "runs").iterdir()}
    assert len(before) == 4
    code, out, err = run(*models, "--metric", "tu", "--json")
    assert code == 0, err
    standings = json.loads(out)["standings"]
    assert {entry["contender"] for entry in standings} == {"octis.LDA", "octis.NMF"}
    assert all(file.stat().st_mtime_ns == time for file, time in before.items())
    assert (tmp_path / "out" / "by-view.md").is_file()
    tu = (*models, "--metric", "tu")
    assert "runs of another 'octis.LDA'" in run(*tu, "--set", "octis.LDA.passes=3")[2]
    for given in ("passes=3", "octis.ETM.passes=3", "octis.LDA=3"):
        assert "expected MODEL.NAME=VALUE, with a model that" in run(*models, "--set", given)[2]
    assert "octis.LDA: " in run(*models, "--set", "octis.LDA.passe=3")[2]


class Patchy(Guesser):
    """Has no topics in a view in one of its runs."""

    def run(self, dataset: MultiviewDataset, seed: int, *arguments: Any) -> dict[str, Any]:
        output = super().run(dataset, seed, *arguments)
        if seed == 1:
            del output["topics/de"]
        return output


def test_a_run_that_lacks_a_measure_of_one_view(dataset: MultiviewDataset, tmp_path: Path) -> None:
    contenders = {"whole": Guesser(0.1), "patchy": Patchy(0.5)}
    result = compare(contenders, dataset, seeds=3, out=tmp_path, **QUICK)
    assert result.standings["tu", ALL]["patchy"].runs == 2
    assert result.standings["tu", ALL]["whole"].runs == 3
    assert Comparison.from_folder(tmp_path).frame().equals(result.frame())


def test_nobody_wins_what_it_alone_can_have(dataset: MultiviewDataset) -> None:
    apart = {"ours": Guesser(0.1), "theirs": Guesser(0.1, aligned=False)}
    result = compare(apart, dataset, seeds=5, **QUICK)
    markdown = comparison_markdown(result)
    lines = [line.split("|") for line in markdown.splitlines() if line.startswith("| ")]
    assert "mrr" in lines[0][2]
    assert "**" not in lines[1][2]
    assert lines[1][-2].strip() == lines[2][-2].strip() == "1 of 1"


def test_columns_that_say_the_same_count_once(dataset: MultiviewDataset) -> None:
    both = {"a": Guesser(0.1), "b": Guesser(0.9)}
    result = compare(both, dataset, seeds=2, metrics=["mrr", "uap"], progress=False)
    markdown = comparison_markdown(result)
    assert "1 of 1" in markdown, "with one right answer UAP is MRR"
    assert markdown.count("uap") == 1
    assert "uap is omitted where it equals mrr" in markdown
    assert {"mrr", "uap"} == {*result.frame().measure}
    alone = compare(both, dataset, seeds=1, metrics=["uap"], progress=False)
    assert "| uap ↑" in comparison_markdown(alone)


def test_latex_of_greek_and_negative_numbers(dataset: MultiviewDataset) -> None:
    result = compare({"M3L, τ = .1": Guesser(0.1)}, dataset, metrics=["npmi"], progress=False)
    latex = comparison_latex(result)
    assert "M3L, $\\tau$ = .1" in latex
    assert _latex("Α λς Ω") == "Α $\\lambda$ς $\\Omega$", "LaTeX has no \\Alpha"
    shown = abs(result.standings["npmi", ALL]["M3L, τ = .1"].mean)
    assert f"$-${shown:.3f}" in latex
    assert "partition: test, words of a topic: 10, topics: 4" in latex
    assert "<Comparison: 5 runs of M3L, τ = .1, 0 failed>" in repr(result)


def test_where_k_differs_names_say_it_and_intervals_can_be_had(
    texts: MultiviewDataset, tmp_path: Path
) -> None:
    words = {name: view.vocabulary for name, view in texts.text_views.items()}
    few = External({n: [w[:5], w[5:10]] for n, w in words.items()})
    more = External({n: [w[:5], w[5:10], w[:5]] for n, w in words.items()})
    result = compare({"few": few, "more": more}, texts, topk=5, **QUICK)
    markdown = comparison_markdown(result, intervals=True)
    assert "few (K = 2)" in markdown
    assert "more (K = 3)" in markdown
    assert "; ‡: no test is possible" in markdown
    assert "; with one run, no test covers the variation over seeds" in markdown
    several = compare(
        {"a": Guesser(0.1), "b": Guesser(0.4)}, texts, seeds=2, metrics=["mrr"], progress=False
    )
    standing = several.standings["mrr", ALL]["b"]
    shown = f"{standing.mean:.3f} [{standing.low:.3f}, {standing.high:.3f}]"
    assert shown in comparison_markdown(several, intervals=True)
    latex = comparison_latex(several, intervals=True)
    assert "mean [95 \\% confidence interval] over 2 runs" in latex


LISTS = {
    "en": ["Snow fell on the summit.", "The baker kneads dough.", "A train left the station."] * 20,
    "de": ["Schnee fiel auf den Gipfel.", "Der Bäcker knetet Teig.", "Ein Zug fuhr ab."] * 20,
}


def test_who_reads_embeddings_may_come_later(tmp_path: Path) -> None:
    options: dict[str, Any] = {"out": tmp_path, "seeds": 1, "metrics": ["tu"], "topk": 3}
    options |= {"progress": False}
    plain = MultiviewDataset.from_lists(LISTS, split=(0.8, 0.1))
    few: dict[str, Any] = {"num_topics": 3, "epochs": 1, "batch_size": 8}
    compare({"LDA": LDA(num_topics=3)}, plain, **options)
    later = compare({"M3L": M3LContrast(**few)}, plain, encoder="lsa", **options)
    assert later.names == ["LDA", "M3L"], "what is in the folder stays in the table"
    assert set(later.standings["tu", ALL]) == {"LDA", "M3L"}
    with pytest.raises(StorageError, match=r"'M3L' of .* read other embeddings than these"):
        compare({"M3L": M3LContrast(**few)}, plain, encoder="clsi", **options)
    with pytest.raises(StorageError, match=r"another 'LDA' \(num_topics: 3 there, 4 here"):
        compare({"LDA": LDA(num_topics=4)}, plain, **options)


@pytest.mark.parametrize("seeds", [2.5, "abc", None, [1.5]])
def test_seeds_that_are_none(dataset: MultiviewDataset, seeds: Any) -> None:
    with pytest.raises(SettingsError, match=r"seeds=.*: expected how many \(5\), or which"):
        compare({"a": Guesser(0.1)}, dataset, seeds=seeds, **QUICK)


def test_every_model_has_the_same_k_and_octis_models_read_the_documents_often() -> None:
    topics = {name: contender(name) for name in ("m3l-contrast", "octis.LDA", "ctm.CombinedTM")}
    assert topics["m3l-contrast"].model.hyperparameters["num_topics"] == 50  # type: ignore[attr-defined]
    lda: Any = topics["octis.LDA"]
    assert lda.model.hyperparameters["num_topics"] == 50
    assert lda.model.hyperparameters["passes"] == 20
    assert topics["ctm.CombinedTM"].arguments["n_components"] == 50  # type: ignore[attr-defined]
    assert contender("octis.NMF", 7, passes=3).model.hyperparameters["passes"] == 3  # type: ignore[attr-defined]


class Talker(Guesser):
    """Warns in every run."""

    def run(self, *arguments: Any) -> dict[str, Any]:
        warnings.warn("too few updates", stacklevel=2)
        return super().run(*arguments)


def test_a_warning_says_whom_it_is_about_once(dataset: MultiviewDataset) -> None:
    with pytest.warns(UserWarning) as heard:
        compare({"a": Talker(0.1), "b": Talker(0.5)}, dataset, seeds=3, **QUICK)
    assert [str(one.message) for one in heard] == ["a: too few updates", "b: too few updates"]


# What is given otherwise than it should be, and what can't be scored.


class Words(AbstractMetric):  # type: ignore[misc]
    """Count the words of OCTIS's own topics."""

    def score(self, output: Any) -> float:
        return float(sum(map(len, output["topics"])))


def test_one_s_own_metrics_go_beside_names(dataset: MultiviewDataset) -> None:
    metrics = ["tu", Words(), MRR(dataset, "en", "de"), F1Score(dataset)]
    result = compare({"a": Guesser(0.1)}, dataset, seeds=1, metrics=metrics, progress=False)
    assert {measure for measure, _ in result.standings} == {
        "tu",
        "Words",
        "MRR(en, de, test)",
        "F1 Score",
    }
    assert result.standings["Words", ALL]["a"].mean == 40
    asked = compare({"a": Guesser(0.1)}, dataset, seeds=1, metrics="mrr", progress=False)
    assert result.standings["MRR(en, de, test)", ALL]["a"].mean == pytest.approx(
        asked.standings["mrr", "en-de"]["a"].mean
    )


class Lossy(Guesser):
    """Says nothing finite of one German test document."""

    def run(self, *arguments: Any) -> dict[str, Any]:
        output = super().run(*arguments)
        output["test-topic-document-matrix/de"][:, 2] = np.nan
        return output


def test_one_document_without_topics_costs_the_others_nothing(
    dataset: MultiviewDataset, tmp_path: Path
) -> None:
    contenders = {"whole": Guesser(0.1), "lossy": Lossy(0.1)}
    options: dict[str, Any] = {"metrics": ["jsd"], "progress": False, "out": tmp_path}
    with pytest.warns(UserWarning) as told:
        result = compare(contenders, dataset, seeds=3, **options)
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


def test_ready_results_may_lack_documents(texts: MultiviewDataset) -> None:
    theta = np.full((texts.text_view("en").sizes[2], 2), 0.5)
    theta[0] = np.nan
    output = External({}, {"en": {"test": theta}}).run(texts, 0, 0, Terms())
    found = output["test-topic-document-matrix/en"].T
    assert np.isnan(found[0]).all()
    np.testing.assert_array_equal(found[1:], 0.5)
    with pytest.raises(DataError, match="θ of view 'en' is finite for none of"):
        External({}, {"en": {"test": theta * np.nan}}).check(texts, Terms())


@pytest.mark.parametrize(
    ("contenders", "options", "message"),
    [
        ([PLTM()], {}, "contenders is a list; expected a mapping of names to models, as in"),
        (PLTM(), {}, "contenders is a PLTM; expected a mapping"),
        ({"a": "octis.LDA"}, {}, "'a' is a str; expected one of our models"),
        ({1: PLTM(), "1": PLTM()}, {}, "two contenders have the same name"),
        ({" ": PLTM()}, {}, "' ' is no name; call each contender something"),
        ({"a": PLTM()}, {"seeds": -1}, "seeds=-1: expected how many"),
        ({"a": PLTM()}, {"seeds": "3"}, "seeds='3': expected how many"),
        ({"a": PLTM()}, {"seeds": [1, 2**32]}, "seed 4294967296: expected 0 to 2"),
        (
            {"a": PLTM()},
            {"metrics": ["tu", MRR]},
            "the class MRR is no metric; expected one that is built",
        ),
        ({"a": PLTM()}, {"metrics": 5}, "5 is no metric"),
        ({"a": PLTM()}, {"others": {"x": MRR}}, "the class MRR is no metric; expected one that is"),
        ({"a": PLTM()}, {"others": {"x": "mrr"}}, "'mrr' is no metric; expected one that is built"),
        ({"a": PLTM()}, {"others": [Words()]}, "others is a list; expected a mapping of names to"),
        ({"a": PLTM()}, {"topk": "2"}, "topk='2': expected a whole number"),
        ({"a": PLTM()}, {"partition": None}, "unknown partition 'None'"),
        ({"a": PLTM()}, {"processes": "2"}, "processes='2': expected 1 or more"),
        ({"a": M3LContrast()}, {"encoder": "bert"}, "unknown encoder 'bert'"),
        ({"a": M3LContrast(device="cuda:7")}, {}, "a: device='cuda:7' is not here: torch sees"),
        ({"a": M3LContrast(encoder="word-vectors")}, {}, "a: view 'en' has no word vectors; att"),
        ({"a": M3LContrast(encoder="given")}, {}, "a: view 'en' has no embeddings; attach them"),
        ({"a": InfoCTM()}, {}, "a: infoctm connects languages by dictionaries, and none connects"),
        ({"a": NMTM()}, {}, "a: nmtm connects languages by dictionaries, and none connects"),
        ({"a": GloCTM(encoder="lsa")}, {}, "a: views en, de have no word vectors, and encoder='l"),
        ({"a": GloCTM(encoder="word-vectors")}, {}, "a: view 'en' has no word vectors; attach"),
    ],
)
def test_natural_mistakes_are_one_line_before_any_run(
    texts: MultiviewDataset, contenders: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(OctisM3LError, match=message):
        compare(contenders, texts, **{"progress": False, **options})


def test_measures_and_models_that_the_data_do_not_allow_are_refused_first(
    texts: MultiviewDataset, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    sound = Guesser(0.1, journal=journal)
    unlinked = MultiviewDataset(texts.views.values())
    untold = MultiviewDataset.from_lists(LISTS, split=(0.8, 0.1))
    patient = M3LContrast(patience=3)
    train = texts.text_view("en").sizes[0]
    for contenders, data, options, message in (
        ({"a": sound}, unlinked, {"metrics": ["tu", "mrr"]}, "'mrr' needs items of two views"),
        ({"a": sound}, unlinked, {"metrics": ["cnpmi"]}, "'cnpmi' counts words in linked"),
        ({"a": sound}, untold, {"metrics": ["classification"]}, "'classification' needs labels"),
        ({"a": sound}, texts, {"corpus": unlinked}, "the reference corpus .* links no two"),
        ({"a": sound, "g": GloCTM()}, unlinked, {}, "g: views en, de have no word vectors, and"),
        ({"a": sound, "g": M3LContrast(encoder="clsi")}, unlinked, {}, "g: "),
        ({"a": sound, "b": M3LContrast(batch_size=500)}, texts, {}, "b: batch_size=500 is larger"),
        ({"a": sound, "b": GloCTM(batch_size=500)}, texts, {}, "b: batch_size=500 is larger than"),
        ({"a": sound, "b": LDA(num_topics=0)}, texts, {}, "b: num_topics=0: expected a whole"),
        ({"a": sound, "b": CTM(batch_size=train - 1)}, texts, {}, "b: batch_size=.* batch of its"),
        (
            {"a": sound, "b": ProdLDA()},
            untold,
            {},
            "b: view 'en' has . words, and this model shows",
        ),
        ({"a": sound, "p": patient}, texts.with_split(0.8, 0.0), {}, "p: patience=3: early stop"),
    ):
        with pytest.raises(OctisM3LError, match=message):
            compare(contenders, data, **{"progress": False, "topk": 3, **options})
    assert not journal.exists()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_gloctm_takes_word_vectors_from_links_as_it_does_alone(texts: MultiviewDataset) -> None:
    few: dict[str, Any] = {"num_topics": 3, "epochs": 1, "batch_size": 32}
    result = compare({"GloCTM": GloCTM(**few)}, texts, seeds=1, metrics=["tu"], progress=False)
    assert not result.failed
    alone = GloCTM(**few).train_model(texts)
    assert result.runs[0].topics == {name: alone.topics(name) for name in ("en", "de")}


def test_a_name_that_begins_with_a_dot_is_kept(dataset: MultiviewDataset, tmp_path: Path) -> None:
    result = compare({".5": Guesser(0.5)}, dataset, seeds=1, out=tmp_path, **QUICK)
    assert result.names == Comparison.from_folder(tmp_path).names == [".5"]


def test_captions_explain_what_the_table_shows_and_nothing_else(
    dataset: MultiviewDataset,
) -> None:
    one = compare({"a": Guesser(0.1)}, dataset, seeds=1, metrics=["mrr"], progress=False)
    assert comparison_markdown(one).rstrip().endswith("topics: 4. mean over 1 run")
    assert "best in" not in comparison_latex(one)
    apart = {"sharp": Guesser(0.05), "blurred": Guesser(0.9), "alone": Guesser(0.5, aligned=False)}
    several = compare(apart, dataset, seeds=5, metrics=["mrr"], progress=False)
    plain, terminal = (Console(width=300, record=True, force_terminal=t) for t in (False, True))
    texts = {
        "markdown": comparison_markdown(several),
        "latex": comparison_latex(several),
        "by view": comparison_markdown(several, by_view=True, intervals=True),
    }
    for console in (plain, terminal):
        console.print(comparison_table(several))
    shown = {"file": plain.export_text(), "terminal": terminal.export_text()}
    for name, text in {**texts, **shown}.items():
        table, caption = text.rsplit("mean ", 1)
        if name == "latex":
            caption, table = caption.split("\\label")
        assert ("*: the best" in caption) == (name == "file")
        assert ("bold: the best" in caption) == (name != "file")
        for plain_mark, latex in (("±", "pm"), ("†", "\\dagger"), ("‡", "ddagger"), ("–", "--")):
            mark = latex if name == "latex" else plain_mark
            assert (mark in table) == (mark in caption), f"{mark} of {name}"
        assert "best in: of the measures that it shares with others" in caption
        assert "uap" not in caption
    assert "*" in shown["file"].rsplit("mean ", 1)[0]

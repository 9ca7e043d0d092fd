"""Scripts written for OCTIS, with our models or our Optimizer in place of OCTIS's."""

import json
import pickle
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from octis.dataset.dataset import Dataset
from octis.evaluation_metrics.classification_metrics import F1Score
from octis.evaluation_metrics.coherence_metrics import Coherence
from octis.evaluation_metrics.diversity_metrics import TopicDiversity
from octis.models.LDA import LDA
from octis.models.model import load_model_output, save_model_output
from octis.optimization.optimizer import Optimizer as OctisOptimizer
from octis_folder import loaded, write_octis_folder
from shell import Run
from skopt.space import Categorical, Real  # type: ignore[import-untyped]

from octis_m3l import NPMI, PLTM, MultiviewDataset, Optimizer, ZeroshotTM
from octis_m3l.errors import DataError, SettingsError, StorageError
from octis_m3l.models import MODELS

NEURAL = {"num_topics": 3, "epochs": 20, "batch_size": 8, "hidden_size": 8, "learning_rate": 0.02}
SAMPLED = {"num_topics": 3, "iterations": 40, "inference_samples": 10}
COUNTS = "ignore:Coherence counts words in all documents"
UPDATES = "ignore:.*updates"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_octis_folder(
        tmp_path_factory.mktemp("octis") / "M3", metadata={"info": {"name": "M3"}}
    )


@pytest.fixture
def dataset(folder: Path) -> Dataset:
    return loaded(folder)


# Our models on OCTIS's data sets.


@pytest.mark.parametrize(("kind", "settings"), [(ZeroshotTM, NEURAL), (PLTM, SAMPLED)])
def test_a_model_learns_from_an_octis_data_set_as_it_is(
    kind: Any, settings: dict[str, Any], dataset: Dataset, tmp_path: Path
) -> None:
    output = kind(**settings).train_model(dataset, top_words=5)
    assert output["topic-document-matrix"].shape == (3, 36)
    assert output["test-topic-document-matrix"].shape == (3, 12)
    assert output["topic-word-matrix"].shape == (3, len(dataset.get_vocabulary()))
    assert {word for topic in output["topics"] for word in topic} <= set(dataset.get_vocabulary())
    assert Coherence(texts=dataset.get_corpus(), topk=5).score(output) <= 1
    assert 0 < TopicDiversity(topk=5).score(output) <= 1
    assert F1Score(dataset).score(output) > 0.5, "the labels are those of the documents"
    save_model_output(output, str(tmp_path / "output"))
    stored = load_model_output(str(tmp_path / "output.npz"))
    np.testing.assert_allclose(
        stored["topic-document-matrix"], output["topic-document-matrix"], atol=1e-6
    )


def test_a_data_set_with_a_training_partition_alone(tmp_path: Path) -> None:
    folder = write_octis_folder(tmp_path / "all", marks=("train",), documents=15)
    table = (folder / "corpus.tsv").read_text().splitlines()
    (folder / "corpus.tsv").write_text("".join(line.split("\t")[0] + "\n" for line in table))
    dataset = loaded(folder)
    with pytest.raises(KeyError):
        dataset.get_partitioned_corpus()
    output = PLTM(**SAMPLED).train_model(dataset, top_words=5)
    assert output["topic-document-matrix"].shape == (3, 15)
    model = LDA(num_topics=3, iterations=5)
    model.partitioning(use_partitions=False)
    result = Optimizer().optimize(
        model,
        dataset,
        TopicDiversity(topk=5),
        {"eta": Real(0.01, 1.0)},
        number_of_call=1,
        model_runs=1,
        extra_metrics=[Coherence(texts=dataset.get_corpus(), topk=5)],
        save_path=f"{tmp_path}/search/",
        topk=5,
    )
    assert len(result.func_vals) == 1


@pytest.mark.parametrize("name", [name for name, kind in MODELS.items() if kind.least_views > 1])
def test_models_of_several_views_say_that_they_need_them(name: str, dataset: Dataset) -> None:
    with pytest.raises(DataError) as raised:
        MODELS[name]().train_model(dataset)
    assert str(raised.value) == (
        f"{name} learns from two views or more, and this data set has one ('text'); give it "
        "another (several OCTIS data sets become one: MultiviewDataset.from_octis({'en': first, "
        "'de': second}, linked='by row')), or use zeroshot-tm, gloctm or pltm for one."
    )


def test_our_metrics_say_how_an_octis_data_set_is_given_to_them(dataset: Dataset) -> None:
    with pytest.raises(DataError, match=r"make it one: MultiviewDataset.from_octis\(dataset\)"):
        NPMI(dataset, "text")
    assert NPMI(MultiviewDataset.from_octis(dataset), "text").view == "text"


def test_hyperparameters_are_set_as_in_octis(dataset: Dataset) -> None:
    model = PLTM(**SAMPLED)
    model.hyperparameters["num_topics"] = 4
    model.hyperparameters.update({"iterations": 20})
    output = model.train_model(dataset, top_words=5)
    assert output["topic-word-matrix"].shape[0] == 4
    assert model.trained_settings.iterations == 20
    model.set_hyperparameters(alpha=0.2)
    assert {
        "num_topics": 4,
        "iterations": 20,
        "alpha": 0.2,
    }.items() <= model.hyperparameters.items()
    model.hyperparameters["num_topic"] = 5
    with pytest.raises(SettingsError, match=r"'num_topic'.*Did you mean 'num_topics'"):
        model.train_model(dataset)


def test_every_model_says_its_name_and_where_it_was_published() -> None:
    for name, kind in MODELS.items():
        told = kind().info()
        assert set(told) == set(LDA().info())
        assert told["name"] == name
        assert "(20" in told["citation"]


# Searches.


@pytest.mark.filterwarnings(COUNTS, UPDATES)
@pytest.mark.parametrize("optimizer", [OctisOptimizer, Optimizer])
def test_a_search_with_our_model_on_an_octis_data_set(
    optimizer: Any, dataset: Dataset, tmp_path: Path
) -> None:
    space = {
        "hidden_layers": Categorical({1, 2}),
        "hidden_size": Categorical({8, 16}),
        "activation": Categorical({"relu", "softplus"}),
        "dropout": Real(0.0, 0.5),
    }
    folder = tmp_path / "results" / "test_results"
    options: dict[str, Any] = {"number_of_call": 2, "model_runs": 1, "topk": 5}
    options |= {"save_models": True, "extra_metrics": None, "save_path": f"{folder}//"}
    npmi = Coherence(texts=dataset.get_corpus(), topk=5, measure="c_npmi")
    model = ZeroshotTM(**{**NEURAL, "epochs": 1})
    found = optimizer().optimize(model, dataset, npmi, space, **options)
    found.save_to_csv(f"{tmp_path}/results.csv")
    assert len((tmp_path / "results.csv").read_text().splitlines()) == 3
    assert len(json.loads((folder / "result.json").read_text())["f_val"]) == 2
    assert np.load(folder / "models" / "1_0.npz")["topic-word-matrix"].shape[0] == 3
    if optimizer is Optimizer:
        again = Optimizer().resume_optimization(found.name_json, extra_evaluations=1)
        assert again.func_vals[:2] == found.func_vals
        assert len(again.func_vals) == 3


def _searched(optimizer: Any, dataset: Dataset, place: str, **changes: Any) -> Any:
    return optimizer().optimize(
        LDA(num_topics=3, iterations=5),
        dataset,
        TopicDiversity(topk=5),
        {"alpha": Real(low=0.001, high=5.0), "eta": Real(low=0.001, high=5.0)},
        number_of_call=2,
        model_runs=2,
        save_path=place,
        extra_metrics=[F1Score(dataset=dataset)],
        topk=5,
        **changes,
    )


def _attributes(result: Any) -> set[str]:
    return {name for name in dir(result) if not name.startswith("_")}


def test_a_search_leaves_what_a_search_of_octis_leaves(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings: dict[str, Any] = {"plot_model": True, "save_name": "found.json"}
    theirs = _searched(OctisOptimizer, dataset, "theirs/sub", **settings)
    with pytest.warns(UserWarning, match="F1Score reads documents of the test partition. An extra"):
        ours = _searched(Optimizer, dataset, "ours/sub", **settings)
    assert ours.name_json == "ours/sub/found.json"
    assert _attributes(theirs) <= _attributes(ours)
    written = [json.loads(Path(found.name_json).read_text()) for found in (theirs, ours)]
    assert list(written[0]) == list(written[1]) == list(ours.info)
    for name, value in written[0].items():
        assert type(value) is type(written[1][name]), name
        if name not in ("time_eval", "dict_model_runs", "f_val", "x_iters", "save_path"):
            assert value == written[1][name] or name == "model_attributes", name
    assert written[1]["x_iters"]["alpha"][0] == pytest.approx(written[0]["x_iters"]["alpha"][0])
    of_extra = written[1]["dict_model_runs"]["0_F1Score"]
    assert list(of_extra) == ["iteration_0", "iteration_1"]
    assert all(0 < score <= 1 for runs in of_extra.values() for score in runs)
    files = [
        {str(file.relative_to(place)) for file in Path(place).rglob("[!.]*")}
        for place in ("theirs", "ours")
    ]
    assert files[1] - files[0] == {"sub/found.runs.json"}
    assert files[0] <= files[1]
    resumed = Optimizer().resume_optimization(ours.name_json, extra_evaluations=1)
    assert resumed.info["number_of_call"] == len(resumed.func_vals) == 3
    assert (tmp_path / "ours" / "sub" / "models" / "2_1.npz").exists()


def _fetched(folder: Path, cache: Path) -> Dataset:
    """Return a data set as OCTIS fetches it, from the cache where it keeps what it downloaded."""
    plain = loaded(folder)
    content = {
        "corpus": [" ".join(words) for words in plain.get_corpus()],
        "vocabulary": plain.get_vocabulary(),
        "metadata": plain.get_metadata(),
        "labels": plain.get_labels(),
    }
    cache.mkdir()
    (cache / "M3_py3.pkz").write_bytes(zlib.compress(pickle.dumps(content)))
    dataset = Dataset()
    dataset.fetch_dataset("M3", data_home=str(cache), download_if_missing=False)
    return dataset


@pytest.mark.filterwarnings("ignore:F1Score reads documents of the test partition")
def test_a_search_on_a_data_set_that_octis_fetched_goes_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = _fetched(folder, tmp_path / "cache")
    monkeypatch.setenv("OCTIS_DATA", str(tmp_path / "elsewhere"))
    found = _searched(Optimizer, fetched, f"{tmp_path}/search/")
    with pytest.raises(
        StorageError, match=r"M3_py3.pkz can't be read as a data set of OCTIS .*; g"
    ):
        Optimizer().resume_optimization(found.name_json, 1)
    monkeypatch.setenv("OCTIS_DATA", str(tmp_path / "cache"))
    again = Optimizer().resume_optimization(found.name_json, 1)
    assert again.func_vals[:2] == found.func_vals
    assert again.info["is_cached"] is True


# Several data sets of OCTIS.


def test_data_sets_of_octis_become_one(tmp_path: Path) -> None:
    folders = {
        name: write_octis_folder(tmp_path / name, prefix=name) for name in ("en", "de", "x1")
    }
    dataset = MultiviewDataset.from_octis(folders, linked="by row", languages={"x1": "fi"})
    assert [view.language for view in dataset.text_views.values()] == ["en", "de", "fi"]
    assert dataset.info()["link_rows"] == 60
    for name, view in dataset.text_views.items():
        assert view.sizes == (36, 12, 12)
        assert view.documents(slice(0, 60)) == loaded(folders[name]).get_corpus()
    rows = [view.input_rows for view in dataset.views.values()]
    assert np.array_equal(rows[0], rows[1])
    apart = MultiviewDataset.from_octis({name: loaded(folders[name]) for name in ("en", "de")})
    assert not apart.is_linked
    assert apart.view("de").labels == dataset.view("de").labels


@pytest.mark.parametrize(
    ("metadata", "name"),
    [({"language": "English"}, "en"), ({"info": {"language": "sv"}}, "sv"), ({"info": {}}, "text")],
)
def test_a_single_data_set_is_named_by_its_language(
    metadata: dict[str, Any], name: str, tmp_path: Path
) -> None:
    folder = write_octis_folder(tmp_path / "one", documents=10, metadata=metadata)
    for source in (folder, str(folder), loaded(folder)):
        dataset = MultiviewDataset.from_octis(source)
        assert list(dataset.views) == [name]
        assert dataset.text_view(name).language == (None if name == "text" else name)


def test_rows_that_do_not_belong_together_are_not_linked(tmp_path: Path) -> None:
    first = write_octis_folder(tmp_path / "en")
    fewer = write_octis_folder(tmp_path / "fewer", marks=("train", "train", "test"))
    said = r"given en: \(36, 12, 12\), de: \(40, 0, 20\). Give each row the same partition in all"
    with pytest.raises(DataError, match=said):
        MultiviewDataset.from_octis({"en": first, "de": fewer}, linked="by row")
    moved = write_octis_folder(tmp_path / "moved", marks=("train", "test", "val", "train", "train"))
    said = r"row 1 of corpus.tsv is in another partition in 'en' than in 'de'"
    with pytest.raises(DataError, match=rf"can't be linked by row: {said}; give each row the same"):
        MultiviewDataset.from_octis({"en": first, "de": moved}, linked="by row")
    other = write_octis_folder(tmp_path / "other")
    for place, skipped in ((first, 5), (other, 8)):
        kept = [row for row in range(61) if row != skipped]
        (place / "indexes.txt").write_text("".join(f"{row}\n" for row in kept))
    for sources in ({"en": first, "de": other}, {"en": loaded(first), "de": loaded(other)}):
        with pytest.raises(DataError, match=r"by their indexes.txt .en. and .d"):
            MultiviewDataset.from_octis(sources, linked="by row")


def test_what_from_octis_does_not_take(folder: Path) -> None:
    with pytest.raises(DataError, match="linked='row': it should be 'by row'"):
        MultiviewDataset.from_octis({"en": folder}, linked="row")
    with pytest.raises(SettingsError, match="unknown view in languages: 'de'"):
        MultiviewDataset.from_octis({"en": folder}, languages={"de": "de"})
    with pytest.raises(DataError, match=r"nowhere can't be loaded by OCTIS"):
        MultiviewDataset.from_octis({"en": "nowhere"})


def test_folders_of_octis_are_built_from_the_command_line(run: Run, tmp_path: Path) -> None:
    folders = [write_octis_folder(tmp_path / name, prefix=name) for name in ("first", "second")]
    both = ("--octis", f"en={folders[0]}", "--octis", f"xx={folders[1]}", "--language", "xx=de")
    assert run("build", *both, "--linked-by-row", "--out", tmp_path / "both")[0] == 0
    built = MultiviewDataset.from_folder(tmp_path / "both")
    assert built.info()["link_rows"] == 60
    assert built.text_view("xx").language == "de"
    assert built.view("xx").labels == loaded(folders[1]).get_labels()
    assert run("build", *both, "--out", tmp_path / "apart")[0] == 0
    assert not MultiviewDataset.from_folder(tmp_path / "apart").is_linked
    with pytest.raises(StorageError, match=r"which a data set of OCTIS becomes by octis-m3l build"):
        MultiviewDataset.from_folder(folders[0])
    assert run("build", folders[0], "--out", tmp_path / "one")[0] == 0
    assert list(MultiviewDataset.from_folder(tmp_path / "one").views) == ["text"]

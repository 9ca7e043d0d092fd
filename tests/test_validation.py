"""What takes a data set's parts says in one line what is wrong with one of another kind."""

import inspect
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from octis_m3l.data import (
    ImageView,
    MultiviewDataset,
    TextPreprocessor,
    TextView,
    from_bow_folder,
    from_frame,
    from_jsonl,
    from_lists,
    from_table,
    text_view_from_ctm,
    text_view_from_octis,
)
from octis_m3l.encoders import embed
from octis_m3l.errors import DataError, OctisM3LError, SettingsError
from octis_m3l.models.settings import Settings

TEXTS = {"en": ["sea ship", "ship sea"], "de": ["meer schiff", "schiff"]}
ODD: list[Any] = [
    *(None, 3, -1, 1.5, True, "text", "en", "", b"x", 1j, object(), int, len, Path("gone")),
    *([], {}, {"en"}, [1], ["en"], [["en"]], ("a", "b"), np.zeros((2, 2)), np.array(3)),
    *({"en": 3}, {"en": None}, {"en": "x"}, {"en": [3, 4]}, {"en": {"a": 1}}, {1: ["a"]}),
    *({"en": np.zeros((2, 3))}, pd.Series(["a", "b"]), pd.DataFrame({"a": [1]})),
]


@pytest.fixture(scope="module")
def data() -> MultiviewDataset:
    marks = ["train", "test"]
    return from_lists(TEXTS, partition=marks, labels=["a", "b"], other_partitions={"p": marks})


def _calls(data: MultiviewDataset) -> list[tuple[Callable[..., Any], dict[str, Any]]]:
    """Return every function with arguments that it takes."""
    vectors = np.ones((2, 3), np.float32)
    ids = np.array([0, 1], np.int32)
    text = {"vocabulary": ("a", "b"), "token_ids": ids, "offsets": np.array([0, 1, 2])}
    views = list(data.views.values())
    return [
        (from_lists, {"texts": TEXTS}),
        (from_frame, {"frame": pd.DataFrame(TEXTS), "texts": ["en"]}),
        (from_table, {"path": "gone.csv"}),
        (from_jsonl, {"path": "gone.jsonl"}),
        (from_bow_folder, {"folder": "gone"}),
        (text_view_from_octis, {"source": data, "name": "en"}),
        (text_view_from_ctm, {"source": data, "name": "en"}),
        (TextPreprocessor, {}),
        (TextView, {"name": "en", "sizes": (2, 0, 0), **text}),
        (ImageView, {"name": "p", "sizes": (2, 0, 0), "embeddings": vectors}),
        (MultiviewDataset, {"views": views}),
        (MultiviewDataset.linked_by_row, {"views": views}),
        (MultiviewDataset.from_folder, {"folder": "gone"}),
        (data.with_embeddings, {"embeddings": {"en": vectors}}),
        (data.with_word_vectors, {"vectors": {"en": np.ones((2, 3))}}),
        (data.with_dictionary, {"first": "en", "second": "de", "pairs": [("sea", "meer")]}),
        (data.with_views, {"names": ["en"]}),
        (data.complete, {}),
        (data.with_partition, {"name": "p"}),
        (data.with_split, {}),
        (data.sample, {"count": 1}),
        (data.view, {"name": "en"}),
        (data.monolingual, {"name": "en"}),
        (data.tuples, {"name": "en"}),
        (data.partition_tuples, {"partition": "train"}),
        (data.linked_items, {"partition": "train"}),
        (data.get_partitioned_corpus, {}),
        (embed, {"dataset": data, "encoders": {}}),
    ]


def test_arguments_of_any_kind_end_well_or_in_one_line(
    data: MultiviewDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = 0
    for function, arguments in _calls(data):
        parameters = inspect.signature(function).parameters.values()
        names = [p.name for p in parameters if p.kind != inspect.Parameter.VAR_KEYWORD]
        for name in names:
            for odd in ODD:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    try:
                        function(**{**arguments, name: odd})
                    except OctisM3LError:
                        refused += 1
                    except Exception as error:
                        pytest.fail(f"{function.__qualname__}({name}={odd!r}): {error!r}")
    assert refused > 1000


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda data: data.with_views([1]), "with_views: names[0]=1: it should be a valid string."),
        (lambda data: data.complete("en"), "complete: names='en': it should be a valid list."),
        (lambda data: data.with_views("en"), "with_views: names='en': it should be a valid list."),
        (lambda data: data.view(1), "view: name=1: it should be a valid string."),
        (lambda data: data.with_split("a"), "with_split: train='a': it should be a valid number."),
        (lambda data: data.sample(True), "sample: count=True: it should be a valid integer."),
        (lambda _: from_lists({"en": None}), "texts of view 'en': expected a list of items, given"),
        (lambda _: from_lists("sea"), "from_lists: texts='sea': it should be a valid dictionary."),
        (lambda _: from_lists({1: ["a"]}), "from_lists: texts, key=1: it should be a valid str"),
        (
            lambda _: from_lists(TEXTS, languages={"en": 3}),
            "from_lists: languages['en']=3: it should be a valid string.",
        ),
        (
            lambda data: data.with_embeddings({"en": 3}),
            "with_embeddings: embeddings['en']=3: it should be an instance of ndarray or should be "
            "a valid string or should be an instance of Path.",
        ),
        (lambda data: MultiviewDataset(data.views), "MultiviewDataset: views={'en': <TextView"),
    ],
)
def test_what_is_said(data: MultiviewDataset, call: Any, message: str) -> None:
    with pytest.raises(DataError) as error:
        call(data)
    assert str(error.value).startswith(message)


def test_arguments_that_are_not_there() -> None:
    with pytest.raises(
        SettingsError, match=r"^from_lists has no argument 'label'. Did you mean 'l"
    ):
        MultiviewDataset.from_lists(TEXTS, label=["a", "b"])
    with pytest.raises(
        SettingsError, match=r"^from_frame has no argument 'labels'. Did you mean 'l"
    ):
        MultiviewDataset.from_frame(pd.DataFrame(TEXTS), texts=["en"], labels="x")
    with pytest.raises(SettingsError, match=r"^from_lists: missing required argument 'texts'\.$"):
        from_lists()  # type: ignore[call-arg]
    with pytest.raises(
        SettingsError, match=r"^from_lists: unexpected positional argument 'sea'; give"
    ):
        from_lists(TEXTS, "sea", "meer")  # type: ignore[misc]


def test_settings_that_are_not_there() -> None:
    class Own(Settings):
        depth: int
        sizes: tuple[int, int] = (1, 2)

    with pytest.raises(SettingsError, match=r"^own: hyperparameter 'depth' is missing; give it\.$"):
        Own.checked({}, "own")
    with pytest.raises(SettingsError, match=r"^own: sizes=\(1,\): it should have more\.$"):
        Own.checked({"depth": 1, "sizes": (1,)}, "own")


def test_numpy_scalars_are_taken_and_arrays_are_not_copied(data: MultiviewDataset) -> None:
    assert len(data.sample(np.int64(1)).view("en").input_rows) == 2
    vectors = np.ones((2, 3), np.float32)
    sizes = [np.int64(2), np.int32(0), 0]
    assert ImageView(name="p", sizes=sizes, embeddings=vectors).sizes == (2, 0, 0)  # type: ignore[arg-type]
    assert len(from_lists(TEXTS, split=[np.float32(1), 0]).view("en")) == 2  # type: ignore[arg-type]
    assert data.with_embeddings({"en": vectors}).view("en").embeddings is vectors
    labels = ["a", "b"]
    view = ImageView(name="p", sizes=(2, 0, 0), embeddings=vectors, labels=labels)
    assert view.labels is labels

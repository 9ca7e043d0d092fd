"""Which embeddings the views of a data set get, and models that keep the encoders."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tiny_models import raises

from octis_m3l import M3LContrast, MultiviewDataset, embed, load_model
from octis_m3l.data import from_lists
from octis_m3l.data.demo import demo_corpus
from octis_m3l.data.folder.manifest import read_manifest
from octis_m3l.data.folder.writing import write_embeddings
from octis_m3l.data.text import TextPreprocessor
from octis_m3l.encoders import Encoder, PictureEncoder, encode, encode_words
from octis_m3l.encoders.encode import encode_folder, encoders_of
from octis_m3l.errors import DataError, SettingsError, StorageError

WORDS = {"en": ("sea", "boat", "sail", "tree", "leaf"), "de": ("meer", "boot", "segel", "baum")}
NONE = [None] * 8
Column = Sequence[Any]


def texts(language: str) -> list[Any]:
    random = np.random.default_rng(len(language))
    return [" ".join(random.choice(WORDS[language], 12)) for _ in range(8)]


def built(columns: dict[str, Column], **arguments: Any) -> MultiviewDataset:
    return from_lists(
        columns,
        preprocessing=TextPreprocessor(stop_words=False),
        languages=dict.fromkeys(columns),
        **arguments,
    )


def linked(**arguments: Any) -> MultiviewDataset:
    return built({"en": texts("en"), "de": texts("de")}, **arguments)


PICTURES = [np.full((4, 4, 3), 30 * number, np.uint8) for number in range(8)]
VECTORS = np.arange(24, dtype=np.float32).reshape(8, 3)
GIVEN = {"images": {"photo": None}, "embeddings": {"en": VECTORS, "photo": VECTORS}}
APART = {"en": [*texts("en"), *NONE], "de": [*NONE, *texts("de")]}


@pytest.fixture(scope="module")
def demo() -> MultiviewDataset:
    return demo_corpus(60)


def items_of(dataset: MultiviewDataset, name: str) -> list[Any]:
    return list(dataset.view(name).items(slice(0, len(dataset.view(name)))))


class Lengths:
    """An encoder of ten lines: how long a text is, and how many words it has."""

    name, dimensions = "lengths", 2

    def __init__(self) -> None:
        self.seen = 0

    def fingerprint(self) -> str:
        return "lengths"

    def encode(self, items: Sequence[str]) -> NDArray[np.float32]:
        self.seen += len(items)
        return np.array([[len(item), len(item.split())] for item in items], np.float32)


@pytest.mark.parametrize(
    ("dataset", "encoder", "expected"),
    [
        (linked(), "auto", ["clsi", "clsi"]),
        (linked(images={"photo": PICTURES}), "auto", ["clsi", "clsi", "picture"]),
        (linked(**GIVEN), "auto", ["given", "lsa", "given"]),
        (linked(**GIVEN), "lsa", ["lsa", "lsa", "given"]),
        (linked(**GIVEN), "clsi", ["clsi", "clsi", "given"]),
        (built({"en": texts("en")}), "auto", ["lsa"]),
        (built({"en": texts("en")}), "clsi", ["clsi"]),
        (built(APART), "auto", ["lsa", "lsa"]),
        # Pictures link the texts' tuples, but no text is linked to another.
        (built(APART, images={"photo": [*PICTURES, *NONE]}), "auto", ["lsa", "lsa", "picture"]),
        # Texts that are linked in the test partition only.
        (
            built(
                {"en": [*APART["en"], "sea boat"], "de": [*APART["de"], "meer boot"]},
                partition=["train"] * 16 + ["test"],
            ),
            "auto",
            ["lsa", "lsa"],
        ),
    ],
)
def test_views_get_given_embeddings_or_fitted_encoders(
    dataset: MultiviewDataset, encoder: Any, expected: list[str]
) -> None:
    found = encode(dataset, encoder, dimensions=2)
    assert list(found.embeddings) == list(dataset.views)
    kinds = {n: found.encoders[n].name if n in found.encoders else "given" for n in dataset.views}
    assert list(kinds.values()) == expected
    for name, view in dataset.views.items():
        vectors = found.embeddings[name]
        if name not in found.encoders:
            assert vectors is view.embeddings
            continue
        assert vectors.shape == (len(view), found.encoders[name].dimensions)
        for row, item in enumerate(items_of(dataset, name)):
            np.testing.assert_array_equal(found.encoders[name].encode([item])[0], vectors[row])


def test_the_last_two_answers_are_remembered() -> None:
    dataset = linked()
    first, second = encode(dataset, "lsa"), encode(dataset, "clsi")
    assert encode(dataset, "lsa", dimensions=150, seed=0) is first
    assert encode(dataset, "clsi") is second
    assert encode(linked(), "clsi") is not second
    third = encode(dataset, "clsi", dimensions=2)
    assert third.embeddings["en"].shape == (8, 2)
    assert encode(dataset, "clsi") is second
    again = encode(dataset, "lsa")
    assert again is not first
    for name, embeddings in again.embeddings.items():
        np.testing.assert_array_equal(embeddings, first.embeddings[name])
    assert encode(dataset, "lsa", seed=1) is not again


def test_your_own_encoder_is_used_for_its_views() -> None:
    dataset, own = linked(images={"photo": PICTURES}, embeddings={"en": VECTORS}), Lengths()
    assert isinstance(own, Encoder)
    pictures = PictureEncoder()
    found = encode(dataset, "given", encoders={"photo": pictures, "en": own, "de": own})
    assert list(found.embeddings) == ["en", "de", "photo"]
    assert found.encoders == {"en": own, "de": own, "photo": pictures}
    assert own.seen == 16
    expected = [[len(text), 12] for text in items_of(dataset, "en")]
    assert found.embeddings["en"].tolist() == expected
    again = encode(dataset, encoders={"en": own})
    assert (again.encoders["en"], again.encoders["de"].name) == (own, "lsa")
    assert encode(dataset, encoders={"en": own}) is not again
    assert "en" not in encode(dataset).encoders


def test_your_own_encoder_must_return_one_finite_vector_per_item() -> None:
    class Wrong(Lengths):
        def __init__(self, answer: NDArray[Any]) -> None:
            self.answer = answer

        def encode(self, items: Sequence[str]) -> NDArray[Any]:
            return self.answer

    hole = VECTORS.copy()
    hole[2, 1] = np.nan
    for answer, message in (
        (VECTORS[:7], "view 'en': embeddings have 7 rows for 8 items; give one row for each item"),
        (hole, "view 'en': the embedding of row 2 holds NaN, infinity or a number above 3e38"),
        (VECTORS[:, 0], "view 'en': embeddings of shape (8,) and type float32, expected floats"),
        (
            VECTORS,
            "the encoder of view 'en' returned vectors of 3 dimensions, but its attribute "
            "dimensions is 2.",
        ),
    ):
        encoders = {"en": Wrong(answer)}
        raises(DataError, message, lambda: encode(linked(), encoders=encoders))  # noqa: B023
        raises(DataError, message, lambda: embed(linked(), encoders, cache=None))  # noqa: B023


def test_what_cannot_be_encoded_is_an_error(demo: MultiviewDataset) -> None:
    given = linked(embeddings={"en": VECTORS})
    unknown = "unknown view 'dee'. Did you mean 'de'? Known: de, en."
    for message, call in (
        (
            "view 'de' has no embeddings; attach them with dataset.with_embeddings, or use "
            "encoder='lsa' or 'clsi'.",
            lambda: encode(given, "given"),
        ),
        (
            "cross-language LSI needs training tuples that link en and de; there is none. Use "
            "encoder='lsa', or give embeddings.",
            lambda: encode(built(APART), "clsi"),
        ),
        ("view 'en' has no word vectors; attach them", lambda: encode(given, "word-vectors")),
        ("views en have embeddings of your own and no encoder", lambda: encode_words(given)),
        (unknown, lambda: encode(given, encoders={"dee": Lengths()})),
        (unknown, lambda: embed(given, {"dee": Lengths()}, cache=None)),
        (
            "view 'en' holds texts, but the encoder 'picture' reads pictures",
            lambda: embed(demo, {"en": "picture"}, cache=None),
        ),
    ):
        raises(DataError, message, call)
    message = "unknown encoder 'lsaa'. Did you mean 'lsa'?"
    raises(SettingsError, message, lambda: encode(given, "lsaa"))  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="give it to train, --set encoder=lsa"):
        encoders_of(demo, {"texts": "lsa"}, None)


def test_odd_embeddings_are_warned_of() -> None:
    given = VECTORS + 1
    given[5, 1] = 1e30
    large = (
        r"^the embedding of row 5 of view 'en' has a value of 1e\+30, where the largest of an "
        "embedding is usually .*: one such row can spoil the topics of all; encode it again, or "
        r"leave the item out\.$"
    )
    same = "^all 8 embeddings of view 'en' are the same, so nothing can be learned"
    for embeddings, message in ((given, large), (np.ones_like(VECTORS), same)):
        with pytest.warns(UserWarning, match=message):
            encode(linked().with_embeddings({"en": embeddings}))


def test_an_encoder_of_ten_lines_plugs_in_and_is_asked_once(
    demo: MultiviewDataset, tmp_path: Path
) -> None:
    own = Lengths()
    given = {"en": own, "de": own}
    for _ in range(2):
        embedded = embed(demo, given, cache=tmp_path)
        assert own.seen == len(demo.view("en")) + len(demo.view("de"))
    assert np.array_equal(
        np.asarray(embedded.view("en").embeddings), own.encode(items_of(demo, "en"))
    )
    assert embedded.view("en").embedding_name.startswith("lengths-")
    assert embedded.view("fr").embeddings is None


FAST: dict[str, Any] = {"num_topics": 3, "epochs": 2, "batch_size": 16, "hidden_size": 8}


def test_models_keep_an_encoder_that_its_settings_determine(
    demo: MultiviewDataset, tmp_path: Path
) -> None:
    embedded = embed(demo, {"pictures": "picture"}, cache=None)
    embedded.save(tmp_path / "data")
    read = MultiviewDataset.from_folder(tmp_path / "data")
    for dataset in (embedded, read, read.sample(20)):
        assert dataset.view("pictures").embedding_encoder == {"kind": "picture", "settings": {}}
        encodings = encode(dataset)
        assert encodings.encoders["pictures"] == PictureEncoder()
        wanted = PictureEncoder().encode(items_of(dataset, "pictures"))
        assert np.array_equal(encodings.embeddings["pictures"], wanted)
    own = embedded.with_embeddings({"pictures": wanted_of(demo)}, order="stored")
    assert own.view("pictures").embedding_encoder is None
    assert "pictures" not in encode(own).encoders
    model = M3LContrast(**FAST)
    model.train_model(read, top_words=3)
    model.save(tmp_path / "model")
    some = items_of(read, "pictures")[:3]
    expected = model.infer(PictureEncoder().encode(some), "pictures")
    assert np.array_equal(load_model(tmp_path / "model").infer(some, "pictures"), expected)


def wanted_of(dataset: MultiviewDataset) -> NDArray[np.float32]:
    return np.random.default_rng(0).random((len(dataset.view("pictures")), 4), np.float32)


def test_an_encoder_of_your_own_is_passed_again(demo: MultiviewDataset, tmp_path: Path) -> None:
    embedded = embed(demo, {"en": Lengths()}, cache=None)
    assert embedded.view("en").embedding_encoder is None
    model = M3LContrast(**FAST, encoder="auto")
    model.train_model(embedded, top_words=3)
    model.save(tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    with pytest.raises(DataError, match="trained on given embeddings of view 'en'"):
        loaded.infer(["the sea"], "en")
    again: Any = load_model(tmp_path / "model", encoders={"en": Lengths()})
    assert again.infer(["the sea"], "en").shape == (1, 3)
    assert len(encode_words(demo)["en"]) == len(demo.text_view("en").vocabulary)


def test_pictures_that_changed_are_encoded_again(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 8, 8, 3)).astype(np.uint8)
    paths = [str(tmp_path / f"{number}.png") for number in range(40)]
    for path, one in zip(paths, pixels, strict=True):
        Image.fromarray(one).save(path)
    texts = [f"snow boat sea {'wave' if number % 2 else 'train'}" for number in range(40)]
    MultiviewDataset.from_lists({"en": texts}, images={"photos": paths}).save(tmp_path / "data")
    options: dict[str, Any] = {"device": None, "cache": tmp_path / "cache", "progress": False}
    encode_folder(tmp_path / "data", {"photos": "picture"}, replace=True, **options)
    Image.new("RGB", (64, 64), (9, 200, 3)).save(paths[0])
    with pytest.raises(StorageError, match="encode them again"):
        MultiviewDataset.from_folder(tmp_path / "data")
    encode_folder(tmp_path / "data", {"images": "picture"}, replace=True, **options)
    read = MultiviewDataset.from_folder(tmp_path / "data")
    wanted = PictureEncoder().encode(items_of(read, "photos"))
    assert np.array_equal(np.asarray(read.view("photos").embeddings), wanted)


def test_embeddings_are_added_at_once_and_your_own_are_not_replaced(
    demo: MultiviewDataset, tmp_path: Path
) -> None:
    demo.save(tmp_path / "data")

    def add(name: str, called: str = "mine", **options: Any) -> None:
        values = np.ones((len(demo.view(name)), 3), np.float32)
        write_embeddings(tmp_path / "data", name, values, called, {}, **options)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, demo.views))
    read = MultiviewDataset.from_folder(tmp_path / "data")
    assert all(view.embeddings is not None for view in read.views.values())
    for name in ("first", "second"):
        add("en", name, encoder={"kind": "picture", "settings": {}}, replace=True)
    assert read_manifest(tmp_path / "data").embedding_names("en") == ["mine", "second"]

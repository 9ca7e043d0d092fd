"""Views through encoders of the user's choice, and models that keep them."""

import hashlib
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from octis_m3l import M3LContrast, MultiviewDataset, embed, load_model
from octis_m3l.data.demo import demo_corpus
from octis_m3l.data.folder.manifest import read_manifest
from octis_m3l.data.folder.writing import write_embeddings
from octis_m3l.encoders import PictureEncoder, encode, encode_words
from octis_m3l.encoders.embedding import encode_folder, encoders_of
from octis_m3l.errors import DataError, SettingsError, StorageError

FAST = {"num_topics": 3, "epochs": 2, "batch_size": 16, "hidden_size": 8}


class Letters:
    """An encoder of ten lines: how often each letter comes."""

    name, dimensions = "letters", 26

    def __init__(self) -> None:
        self.seen = 0

    def fingerprint(self) -> str:
        return hashlib.sha256(b"letters").hexdigest()

    def encode(self, items: Sequence[str]) -> NDArray[np.float32]:
        self.seen += len(items)
        return np.array([[t.count(chr(97 + i)) for i in range(26)] for t in items], np.float32)


@pytest.fixture(scope="module")
def dataset() -> MultiviewDataset:
    return demo_corpus(60)


def test_an_encoder_of_ten_lines_plugs_in_and_is_asked_once(
    dataset: MultiviewDataset, tmp_path: Path
) -> None:
    letters = Letters()
    given = {"en": letters, "de": letters}
    embedded = embed(dataset, given, cache=tmp_path)
    items = dataset.view("en").items(slice(0, len(dataset.view("en"))))
    assert np.array_equal(np.asarray(embedded.view("en").embeddings), Letters().encode(items))
    assert embedded.view("en").embedding_name.startswith("letters-")
    assert embedded.view("fr").embeddings is None
    seen = letters.seen
    assert seen == len(dataset.view("en")) + len(dataset.view("de"))
    again = embed(dataset, given, cache=tmp_path)
    assert letters.seen == seen
    assert np.array_equal(again.view("de").embeddings, embedded.view("de").embeddings)  # type: ignore[arg-type]


def test_models_keep_an_encoder_that_its_settings_determine(
    dataset: MultiviewDataset, tmp_path: Path
) -> None:
    embedded = embed(dataset, {"pictures": "picture"}, cache=None)
    assert embedded.view("pictures").embedding_encoder == {"kind": "picture", "settings": {}}
    embedded.save(tmp_path / "data")
    read = MultiviewDataset.from_folder(tmp_path / "data")
    assert read.view("pictures").embedding_encoder == {"kind": "picture", "settings": {}}
    encodings = encode(read)
    assert encodings.encoders["pictures"] == PictureEncoder()
    assert np.array_equal(
        encodings.embeddings["pictures"], PictureEncoder().encode(_pictures(read))
    )
    model = M3LContrast(**FAST)
    model.train_model(read, top_words=3)
    model.save(tmp_path / "model")
    some = _pictures(read)[:3]
    expected = model.infer(PictureEncoder().encode(some), "pictures")
    assert np.array_equal(load_model(tmp_path / "model").infer(some, "pictures"), expected)


def test_embeddings_of_your_own_have_no_recorded_encoder(dataset: MultiviewDataset) -> None:
    embedded = embed(dataset, {"pictures": "picture"}, cache=None)
    own = embedded.with_embeddings(
        {"pictures": np.ones((len(dataset.view("pictures")), 4), np.float32)}, order="stored"
    )
    assert own.view("pictures").embedding_encoder is None
    assert "pictures" not in encode(own).encoders


def test_the_description_stays_with_fewer_items(dataset: MultiviewDataset) -> None:
    embedded = embed(dataset, {"pictures": "picture"}, cache=None).sample(20)
    view = embedded.view("pictures")
    assert view.embedding_encoder is not None
    assert np.array_equal(view.embeddings, PictureEncoder().encode(_pictures(embedded)))  # type: ignore[arg-type]


def test_an_encoder_of_your_own_is_passed_again(dataset: MultiviewDataset, tmp_path: Path) -> None:
    embedded = embed(dataset, {"en": Letters()}, cache=None)
    assert embedded.view("en").embedding_encoder is None
    model = M3LContrast(**FAST, encoder="auto")
    model.train_model(embedded, top_words=3)
    model.save(tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    with pytest.raises(DataError, match="trained on given embeddings of view 'en'"):
        loaded.infer(["the sea"], "en")
    again: Any = load_model(tmp_path / "model", encoders={"en": Letters()})
    assert again.infer(["the sea"], "en").shape == (1, 3)
    assert len(encode_words(dataset)["en"]) == len(dataset.text_view("en").vocabulary)


def test_unknown_views_and_wrong_dimensions_are_errors(dataset: MultiviewDataset) -> None:
    class Short(Letters):
        def encode(self, items: Sequence[str]) -> NDArray[np.float32]:
            return super().encode(items)[:, :5]

    with pytest.raises(DataError, match="unknown view 'english'"):
        embed(dataset, {"english": Letters()}, cache=None)
    message = "view 'en' returned vectors of 5 dimensions, but its attribute dimensions is 26"
    with pytest.raises(DataError, match=re.escape(message)):
        embed(dataset, {"en": Short()}, cache=None)


def _pictures(dataset: MultiviewDataset) -> list[Any]:
    view = dataset.view("pictures")
    return list(view.items(slice(0, len(view))))


def test_an_encoder_of_the_other_kind_is_refused(dataset: MultiviewDataset) -> None:
    message = "view 'en' holds texts, but the encoder 'picture' reads pictures"
    with pytest.raises(DataError, match=message):
        embed(dataset, {"en": "picture"}, cache=None)


def test_pictures_that_changed_are_encoded_again(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 8, 8, 3)).astype(np.uint8)
    paths = []
    for number, one in enumerate(pixels):
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(one).save(paths[-1])
    texts = [f"snow boat sea {'wave' if number % 2 else 'train'}" for number in range(40)]
    given = MultiviewDataset.from_lists(
        {"en": texts}, images={"photos": [str(path) for path in paths]}
    )
    given.save(tmp_path / "data")
    options: dict[str, Any] = {"device": None, "cache": tmp_path / "cache", "progress": False}
    encode_folder(tmp_path / "data", {"photos": "picture"}, replace=True, **options)
    Image.new("RGB", (64, 64), (9, 200, 3)).save(paths[0])
    with pytest.raises(StorageError, match="encode them again"):
        MultiviewDataset.from_folder(tmp_path / "data")
    encode_folder(tmp_path / "data", {"images": "picture"}, replace=True, **options)
    read = MultiviewDataset.from_folder(tmp_path / "data")
    assert np.array_equal(
        np.asarray(read.view("photos").embeddings),
        PictureEncoder().encode(read.view("photos").items(slice(0, 40))),
    )


def test_fitted_encoders_are_given_to_training(dataset: MultiviewDataset) -> None:
    with pytest.raises(SettingsError, match="give it to train, --set encoder=lsa"):
        encoders_of(dataset, {"texts": "lsa"}, None)


def test_two_processes_encode_two_views_of_one_folder(
    dataset: MultiviewDataset, tmp_path: Path
) -> None:
    dataset.save(tmp_path / "data")
    count = {name: len(view) for name, view in dataset.views.items()}

    def add(name: str) -> None:
        values = np.ones((count[name], 3), np.float32)
        write_embeddings(tmp_path / "data", name, values, "ones", {})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, dataset.views))
    read = MultiviewDataset.from_folder(tmp_path / "data")
    assert all(view.embeddings is not None for view in read.views.values())


def test_embeddings_of_your_own_are_not_replaced(dataset: MultiviewDataset, tmp_path: Path) -> None:
    dataset.save(tmp_path / "data")
    rows = len(dataset.view("en"))
    write_embeddings(tmp_path / "data", "en", np.ones((rows, 3), np.float32), "mine", {})
    for name in ("first", "second"):
        write_embeddings(
            tmp_path / "data",
            "en",
            np.ones((rows, 4), np.float32),
            name,
            {},
            encoder={"kind": "picture", "settings": {}},
            replace=True,
        )
    assert read_manifest(tmp_path / "data").embedding_names("en") == ["mine", "second"]

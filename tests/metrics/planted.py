"""A small dataset with gaps and several images a tuple, and outputs of models that never were."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.views import ImageView, TextView

TOPICS = 5
TOP_WORDS = 12
SIZES = {"en": (40, 7, 11), "de": (38, 6, 12), "image": (60, 9, 20)}
THETA_KEYS = {
    "train": "topic-document-matrix",
    "validation": "validation-topic-document-matrix",
    "test": "test-topic-document-matrix",
}


def planted_dataset(seed: int = 0) -> MultiviewDataset:
    """Return two languages and images: most items linked, some left alone."""
    random = np.random.default_rng(seed)
    views = [
        text_view("en", 30, SIZES["en"], random),
        text_view("de", 25, SIZES["de"], random),
        ImageView(
            name="image",
            sizes=SIZES["image"],
            embeddings=random.normal(size=(sum(SIZES["image"]), 4)).astype(np.float32),
        ),
    ]
    return MultiviewDataset(views, links=planted_links(), pivot="en")


def planted_links() -> NDArray[np.int64]:
    """Return links inside each partition; images belong to articles in turn."""
    rows = []
    start = dict.fromkeys(SIZES, 0)
    for partition in range(3):
        size = {view: sizes[partition] for view, sizes in SIZES.items()}
        articles = size["en"] - 2
        for number in range(articles):
            german = start["de"] + number if number < size["de"] - 2 else -1
            rows.append([start["en"] + number, german, -1])
        for number in range(size["image"] - 1):
            rows.append([start["en"] + number % articles, -1, start["image"] + number])
        for view in SIZES:
            start[view] += size[view]
    return np.array(rows, dtype=np.int64)


def text_view(
    name: str, words: int, sizes: tuple[int, int, int], random: np.random.Generator
) -> TextView:
    """Return documents of random words, none of them longer than thirty."""
    lengths = random.integers(5, 30, size=sum(sizes))
    frequency = random.dirichlet(np.ones(words))
    tokens = random.choice(words, size=lengths.sum(), p=frequency)
    tokens[:words] = np.arange(words)
    return TextView(
        name=name,
        sizes=sizes,
        vocabulary=tuple(f"{name}{number}" for number in range(words)),
        token_ids=tokens.astype(np.int32),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        labels=[f"label{number % 3}" for number in range(sum(sizes))],
    )


def random_output(dataset: MultiviewDataset, seed: int = 0) -> dict[str, Any]:
    """Return what a model that knows nothing would say."""
    random = np.random.default_rng(seed)
    output: dict[str, Any] = {}
    for name, view in dataset.views.items():
        for partition, key in THETA_KEYS.items():
            rows = view.rows(partition)
            theta = random.dirichlet(np.full(TOPICS, 0.3), size=rows.stop - rows.start)
            output[f"{key}/{name}"] = theta.T.astype(np.float32)
    for name in dataset.text_views:
        words = len(dataset.text_view(name).vocabulary)
        beta = random.dirichlet(np.ones(words), size=TOPICS)
        output[f"topic-word-matrix/{name}"] = beta.astype(np.float32)
        output[f"topics/{name}"] = np.argsort(-beta, axis=1)[:, :TOP_WORDS]
    return output


def constant_output(dataset: MultiviewDataset) -> dict[str, Any]:
    """Return what a model that says the same of every item would say."""
    output = random_output(dataset)
    theta = np.random.default_rng(1).dirichlet(np.ones(TOPICS))
    for key, matrix in output.items():
        if "topic-document-matrix" in key:
            output[key] = np.repeat(theta[:, None], matrix.shape[1], axis=1)
    return output

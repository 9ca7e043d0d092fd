"""A small dataset with gaps and several images a tuple, and outputs of models that never were."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.views import ImageView, TextView
from octis_m3l.metrics.outputs import THETA_KEYS

Data = MultiviewDataset
Output = dict[str, Any]

TOPICS = 5
TOP_WORDS = 12
SIZES = {"en": (40, 7, 11), "de": (38, 6, 12), "image": (60, 9, 20)}
TEST = THETA_KEYS["test"]


def planted_dataset() -> Data:
    """Return two languages and images: most items linked, some left alone."""
    random = np.random.default_rng(0)
    texts = [text_view(name, n, SIZES[name], random) for name, n in (("en", 30), ("de", 25))]
    vectors = random.normal(size=(sum(SIZES["image"]), 4)).astype(np.float32)
    image = ImageView(name="image", sizes=SIZES["image"], embeddings=vectors)
    return MultiviewDataset([*texts, image], links=planted_links(), pivot="en")


def planted_links() -> NDArray[np.int64]:
    """Return links inside each partition; images belong to articles in turn."""
    rows = []
    for partition in range(3):
        english, german, images = (of_view[partition] for of_view in SIZES.values())
        en, de, image = (sum(of_view[:partition]) for of_view in SIZES.values())
        articles = english - 2
        rows += [[en + n, de + n if n < german - 2 else -1, -1] for n in range(articles)]
        rows += [[en + n % articles, -1, image + n] for n in range(images - 1)]
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


def unlinked(dataset: Data) -> Data:
    """Return the same views without links."""
    return MultiviewDataset(dataset.views.values())


def random_output(dataset: Data) -> Output:
    """Return what a model that knows nothing would say."""
    random = np.random.default_rng(0)
    output: Output = {}
    for name, view in dataset.views.items():
        for key, size in zip(THETA_KEYS.values(), view.sizes, strict=True):
            theta = random.dirichlet(np.full(TOPICS, 0.3), size=size)
            output[f"{key}/{name}"] = theta.T.astype(np.float32)
    for name, text in dataset.text_views.items():
        beta = random.dirichlet(np.ones(len(text.vocabulary)), size=TOPICS)
        output[f"topic-word-matrix/{name}"] = beta.astype(np.float32)
        output[f"topics/{name}"] = np.argsort(-beta, axis=1)[:, :TOP_WORDS]
    return output


def constant_output(dataset: Data) -> Output:
    """Return what a model that says the same of every item would say."""
    theta = np.random.default_rng(1).dirichlet(np.ones(TOPICS))
    return {
        key: np.repeat(theta[:, None], value.shape[1], axis=1) if "document" in key else value
        for key, value in random_output(dataset).items()
    }


def in_words(dataset: Data, output: Output, view: str) -> list[list[str]]:
    """Return a view's topics in words."""
    vocabulary = dataset.text_view(view).vocabulary
    return [[vocabulary[word] for word in topic] for topic in output[f"topics/{view}"]]

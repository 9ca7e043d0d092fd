"""Held-out perplexity of PLTM on one language, where it is LDA, beside tomotopy's LDA.

Document completion: θ of a test document is inferred from every other of its tokens, and the rest
are predicted. Both models' φ and α go through the same estimator.
"""

import argparse
import sys
import warnings
from typing import Any

import numpy as np
from data_sets import load
from numpy.typing import NDArray
from report import finish, mean_std
from rich.console import Console
from rich.table import Table

from octis_m3l import PLTM, MultiviewDataset
from octis_m3l.sampling import LinkedCorpus, fold_in

VIEW = "en"


def halves(dataset: MultiviewDataset) -> tuple[LinkedCorpus, LinkedCorpus]:
    """Return the test documents' tokens with even and with odd places."""
    view = dataset.text_view(VIEW)
    rows = view.rows("test")
    found = []
    for first in (0, 1):
        parts = [
            view.token_ids[view.offsets[row] + first : view.offsets[row + 1] : 2]
            for row in range(rows.start, rows.stop)
        ]
        lengths = np.array([len(part) for part in parts])
        found.append(
            LinkedCorpus(
                (VIEW,),
                np.array([len(view.vocabulary)]),
                np.concatenate(parts).astype(np.int32),
                np.concatenate([[0], np.cumsum(lengths)]),
                np.zeros(len(parts), np.int32),
                np.arange(len(parts) + 1),
            )
        )
    return found[0], found[1]


def perplexity(
    phi: NDArray[Any], alpha: NDArray[Any], seen: LinkedCorpus, rest: LinkedCorpus
) -> float:
    """Return exp of the mean surprise of the unseen tokens."""
    by_word = np.ascontiguousarray(phi.T, np.float64)
    theta = fold_in(seen, [(by_word, alpha, 200)], burn_in=50, between=0, seed=0)
    documents = np.repeat(np.arange(len(rest)), np.diff(rest.starts))
    predicted = np.einsum("ij,ij->i", theta[documents], by_word[rest.words])
    return float(np.exp(-np.log(predicted).mean()))


def theirs(
    dataset: MultiviewDataset, topics: int, iterations: int, seed: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return φ (columns as in our vocabulary) and α of tomotopy's LDA, averaged over 10 samples."""
    import tomotopy

    view = dataset.text_view(VIEW)
    model = tomotopy.LDAModel(k=topics, alpha=0.1, eta=0.01, seed=seed)
    model.burn_in, model.optim_interval = iterations // 5, 10
    for document in view.documents(view.rows("train")):
        model.add_doc(document)
    number = {word: index for index, word in enumerate(view.vocabulary)}
    phi, alpha = np.zeros((topics, len(view.vocabulary))), np.zeros(topics)
    model.train(iterations // 2, workers=1)
    place = [number[word] for word in model.used_vocabs]
    for _ in range(10):
        model.train(iterations // 20, workers=1)
        sample = np.full_like(phi, 1e-12)
        sample[:, place] = [model.get_topic_word_dist(k) for k in range(topics)]
        phi += sample / 10
        alpha += np.asarray(model.alpha) / 10
    return phi, alpha


def main() -> None:
    """Train both over seeds, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--topics", type=int, default=50)
    parser.add_argument("--iterations", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    dataset = load("bible-passages", [VIEW])
    seen, rest = halves(dataset)
    found: dict[str, list[float]] = {"octis-m3l": [], "tomotopy": []}
    for seed in range(arguments.seeds):
        model = PLTM(
            num_topics=arguments.topics, iterations=arguments.iterations, samples=10, seed=seed
        )
        model.train_model(dataset)
        assert model.alpha is not None
        ours = perplexity(model.word_topics[VIEW], model.alpha, seen, rest)
        found["octis-m3l"].append(ours)
        given = theirs(dataset, arguments.topics, arguments.iterations, seed)
        found["tomotopy"].append(perplexity(*given, seen, rest))
        print(seed, {name: round(of[-1], 1) for name, of in found.items()}, file=sys.stderr)
    table = Table("", "perplexity a token")
    for name, values in found.items():
        table.add_row(name, "{mean:.1f} ± {std:.1f}".format(**mean_std(values)))
    Console(width=100).print(table)
    ratio = np.mean(found["octis-m3l"]) / np.mean(found["tomotopy"])
    finish(
        {**{name: mean_std(values) for name, values in found.items()}, "ratio": round(ratio, 4)},
        data="bible-passages, en, test passages",
        settings={"num_topics": arguments.topics, "iterations": arguments.iterations},
        seeds=arguments.seeds,
    )


if __name__ == "__main__":
    main()

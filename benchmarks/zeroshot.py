"""ZeroshotTM beside contextualized-topic-models' own class: topics on the same vectors.

Both learn English topics of the passages with the settings that contextualized-topic-models has by
default, from the same cross-language LSI vectors, and are scored by the same measures.
"""

import argparse
import json
import sys
import warnings
from typing import Any

import numpy as np
import torch
from data_sets import load
from report import finish, mean_std
from rich.console import Console
from rich.table import Table
from scipy.stats import ttest_ind

from octis_m3l import DocumentNPMI, MultiviewDataset, TopicUniqueness, ZeroshotTM
from octis_m3l.data.batches import ViewTensors
from octis_m3l.encoders import encode

VIEW, TOP_WORDS = "en", 10


def scores_of(dataset: MultiviewDataset, topic_words: Any) -> dict[str, float]:
    """Return topic uniqueness and document NPMI of a topic-word matrix (K × words)."""
    order = np.argsort(-np.asarray(topic_words), axis=1, kind="stable")[:, :TOP_WORDS]
    output = {f"topics/{VIEW}": order}
    return {
        "tu": TopicUniqueness(dataset, VIEW).score(output),
        "document-npmi": DocumentNPMI(dataset, VIEW).score(output),
    }


def ours(dataset: MultiviewDataset, vectors: Any, topics: int, seed: int) -> dict[str, float]:
    """Train and score this package's ZeroshotTM."""
    given = dataset.with_embeddings({VIEW: vectors}, order="stored")
    model = ZeroshotTM(num_topics=topics, seed=seed, prior="learned-variance", encoder="given")
    return scores_of(dataset, model.train_model(given)[f"topic-word-matrix/{VIEW}"])


def theirs(dataset: MultiviewDataset, vectors: Any, topics: int, seed: int) -> dict[str, float]:
    """Train and score contextualized-topic-models' ZeroShotTM."""
    from contextualized_topic_models.models.ctm import ZeroShotTM

    torch.manual_seed(seed)
    view = dataset.text_view(VIEW)
    rows = view.rows("train")
    data = ViewTensors(vectors[rows], view.bag_of_words[rows], view.vocabulary)
    model = ZeroShotTM(
        bow_size=len(view.vocabulary),
        contextual_size=vectors.shape[1],
        n_components=topics,
        num_data_loader_workers=0,
    )
    model.fit(data, verbose=False)
    return scores_of(dataset, model.get_topic_word_matrix())


def main() -> None:
    """Train both over seeds, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--topics", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    dataset = load("bible-passages", ["en", "de"])
    vectors = encode(dataset, "clsi").embeddings[VIEW]
    dataset = dataset.with_views([VIEW])
    runs: dict[str, list[dict[str, float]]] = {"octis-m3l": [], "contextualized-topic-models": []}
    for seed in range(arguments.seeds):
        for name, train in zip(runs, (ours, theirs), strict=True):
            runs[name].append(train(dataset, vectors, arguments.topics, seed))
            print(name, seed, json.dumps(runs[name][-1]), file=sys.stderr, flush=True)
    found: dict[str, Any] = {}
    table = Table("measure", *runs, "p (Welch)")
    for measure in runs["octis-m3l"][0]:
        values = [[run[measure] for run in of] for of in runs.values()]
        p = float(ttest_ind(*values, equal_var=False).pvalue)
        means = [mean_std(one) for one in values]
        found[measure] = {**dict(zip(runs, means, strict=True)), "p": round(p, 3)}
        table.add_row(measure, *["{mean:.4f} ± {std:.4f}".format(**m) for m in means], f"{p:.2f}")
    Console(width=100).print(table)
    finish(
        found,
        data="bible-passages, en, cross-language LSI vectors",
        settings={"num_topics": arguments.topics, "prior": "learned-variance"},
        seeds=arguments.seeds,
    )


if __name__ == "__main__":
    main()

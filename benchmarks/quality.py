"""Train a model over several seeds and score it."""

import argparse
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from data_sets import NAMES, UNLINKED, load, tied_by_words
from inferring import output_by
from report import finish, mean_std, print_summary, summarise

from octis_m3l.encoders import embed
from octis_m3l.metrics import CrosslingualClassification, applicable
from octis_m3l.metrics.outputs import THETA_KEYS, document_topics, partition_rows
from octis_m3l.models import MODELS, load_model

QUICK = ("mrr", "uap", "jsd", "tu", "npmi", "document-npmi")
WITHOUT_LINKS = ("tu", "cnpmi", "topic-quality", "classification", "classification-f1")
READS_WORDS = ("gloctm", "infoctm", "nmtm")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help=f"{', '.join(NAMES)}, or a data set's folder")
    parser.add_argument("--model", default="m3l-contrast", choices=sorted(MODELS))
    parser.add_argument("--views", help="en,de,pictures")
    parser.add_argument("--encoder", default="auto", help="auto, use, clsi, lsa, …")
    parser.add_argument(
        "--embed", nargs="*", default=[], metavar="VIEW=ENCODER", help="en=use de=e5, pictures=…"
    )
    parser.add_argument("--topics", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--partition", default="test", help="scored: test or validation")
    parser.add_argument("--split", default="partition_pages", help="of the story books")
    parser.add_argument("--metrics", help="default: those that the data allow")
    parser.add_argument("--topk", type=int, default=10, help="words of a topic looked at")
    parser.add_argument("--corpus", help="linked data set that CNPMI counts words in")
    parser.add_argument("--infer-by", help="GloCTM's encoder: local or global; softmax(μ)")
    parser.add_argument("--documents", type=int, help="only so many training documents a view")
    parser.add_argument("--keep", type=Path, help="folder: models are kept, and not trained anew")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def settings_of(pairs: list[str]) -> dict[str, Any]:
    """Return hyperparameters from KEY=VALUE; numbers are taken as numbers."""
    settings: dict[str, Any] = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        try:
            settings[key] = json.loads(value)
        except json.JSONDecodeError:
            settings[key] = value
    return settings


def trained(
    arguments: argparse.Namespace, settings: dict[str, Any], dataset: Any, seed: int
) -> Any:
    """Return a trained model: a kept one, or a new one, which a killed run goes on with."""
    model = MODELS[arguments.model](seed=seed, progress=sys.stderr.isatty(), **settings)
    if arguments.keep is None:
        model.train_model(dataset, top_words=max(10, arguments.topk))
        return model
    folder = arguments.keep / f"seed-{seed}"
    if not folder.exists():
        model.checkpoint = arguments.keep / f"seed-{seed}.checkpoint"
        model.train_model(dataset, top_words=max(10, arguments.topk))
        model.save(folder)
    kept = load_model(folder)
    wanted = model.settings_class.checked(model.hyperparameters, model.name)
    asked = (model.name, wanted, dataset.fingerprints())
    if (kept.name, kept.trained_settings, kept.data_fingerprints) != asked:
        raise SystemExit(f"{folder} holds another model, of other settings or other data.")
    return kept


def scored(arguments: argparse.Namespace, dataset: Any, output: Any) -> dict[str, Any]:
    """Return all scores; how well a linear SVM classifies, and what CNPMI's corpus covers, too."""
    unlinked = arguments.data in UNLINKED or arguments.model in READS_WORDS
    chosen = arguments.metrics.split(",") if arguments.metrics else None
    wanted = chosen or (WITHOUT_LINKS if unlinked else QUICK)
    corpus = None
    if arguments.corpus:
        corpus = load(arguments.corpus, ["en", "zh"])
    options = {"topk": arguments.topk, "corpus": corpus}
    measures = applicable(dataset, output, arguments.partition, wanted, **options)
    scores = {n: {w: m.score(output) for w, m in on.items()} for n, on in measures.items()}
    if chosen is None:
        for view in dataset.views:
            known = f"{THETA_KEYS[arguments.partition]}/{view}" in output
            if known and len(partition_rows(dataset, view, arguments.partition)):
                theta = document_topics(output, dataset, view, arguments.partition)
                largest = float(np.nanmedian(theta.max(axis=1)))
                scores.setdefault("median of the largest share", {})[view] = largest
    for where, metric in measures.get("cnpmi", {}).items():
        scores.setdefault("coverage", {})[where] = metric.coverage(output)
    for where, metric in measures.get("classification", {}).items():
        linear = CrosslingualClassification(
            dataset, metric.first, metric.second, arguments.partition, kernel="linear"
        )
        scores.setdefault("classification, linear SVM", {})[where] = linear.score(output)
        scores.setdefault("majority class", {})[where] = metric.chance()
    return scores


def main() -> None:
    """Train, score, print."""
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    warnings.simplefilter("ignore", UserWarning)
    views = arguments.views.split(",") if arguments.views else None
    dataset = load(arguments.data, views, partition=arguments.split)
    if arguments.data == "bible-passages" and arguments.model in READS_WORDS:
        dataset = tied_by_words(dataset)
    if arguments.embed:
        dataset = embed(dataset, dict(pair.split("=", 1) for pair in arguments.embed))
    if arguments.documents:
        dataset = dataset.sample(arguments.documents)
    settings = {"num_topics": arguments.topics, **settings_of(arguments.set)}
    if "encoder" in MODELS[arguments.model].settings_class.model_fields:
        settings = {"encoder": arguments.encoder, **settings}
    runs, seconds = [], []
    for seed in range(arguments.seeds):
        model = trained(arguments, settings, dataset, seed)
        seconds.append(model.history.seconds if model.history else 0.0)
        output = model.output
        if arguments.infer_by:
            output = output_by(model, dataset, arguments.infer_by)
        runs.append(scored(arguments, dataset, output))
    summary = summarise(runs)
    title = f"{arguments.model} on {arguments.data}, {arguments.partition}, {len(runs)} seeds"
    print_summary(title, summary)
    finish(
        summary,
        seconds=mean_std(seconds),
        data=dataset.metadata.get("name", arguments.data),
        views=list(dataset.views),
        model=arguments.model,
        partition=arguments.partition,
        inferred_by=arguments.infer_by,
        embedded_by=arguments.embed,
        settings=settings | ({"documents": arguments.documents} if arguments.documents else {}),
        topk=arguments.topk,
        seeds=arguments.seeds,
    )


if __name__ == "__main__":
    main()

"""Seconds an epoch, ours beside other implementations in one run, one thread."""

import argparse
import os
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import speed_unlinked
import torch
from octis.evaluation_metrics.coherence_metrics import Coherence
from report import finish
from rich.console import Console
from rich.table import Table
from scipy.sparse import random as random_sparse
from scipy.special import softmax
from torch import Tensor, nn
from torch.nn import functional
from turns import in_turn

from octis_m3l.data import ImageView, MultiviewDataset, TextView
from octis_m3l.data.batches import TupleSampler, ViewTensors
from octis_m3l.metrics import MRR, NPMI, jensen_shannon_matrix
from octis_m3l.metrics.retrieval import reciprocal_ranks
from octis_m3l.models.m3l_contrast import M3LContrastNetwork, M3LContrastSettings
from octis_m3l.models.zeroshot_tm import ZeroshotTMNetwork, ZeroshotTMSettings
from octis_m3l.sampling import Chain, LinkedCorpus
from octis_m3l.training.adam import Adam

TUPLES, WORDS, DIMENSIONS, TOPICS, BATCH = 2000, 2000, 512, 100, 32


def synthetic() -> MultiviewDataset:
    """Return 2,000 tuples of two languages and images: 60 words a document, 512-d vectors."""
    random = np.random.default_rng(0)
    views: list[Any] = []
    for name in ("en", "de"):
        counts = random_sparse(
            TUPLES, WORDS, density=60 / WORDS, format="csr", rng=random, data_rvs=np.ones
        )
        views.append(
            TextView(
                name=name,
                sizes=(TUPLES, 0, 0),
                vocabulary=tuple(f"word{i}" for i in range(WORDS)),
                token_ids=counts.indices.astype(np.int32),
                offsets=counts.indptr.astype(np.int64),
                embeddings=random.standard_normal((TUPLES, DIMENSIONS), np.float32),
            )
        )
    pictures = random.standard_normal((TUPLES, DIMENSIONS), np.float32)
    views.append(ImageView(name="pictures", sizes=(TUPLES, 0, 0), embeddings=pictures))
    return MultiviewDataset.linked_by_row(views)


def our_epoch(dataset: MultiviewDataset) -> Callable[[], None]:
    """Return an epoch of M3L-Contrast as this package trains it."""
    settings = M3LContrastSettings(
        preset="released-m3l", num_topics=TOPICS, hidden_size=100, hidden_layers=2
    )
    embeddings = {name: view.embeddings for name, view in dataset.views.items()}
    sampler = TupleSampler(dataset, "train", embeddings, BATCH)  # type: ignore[arg-type]
    network = M3LContrastNetwork(
        dict.fromkeys(dataset.views, DIMENSIONS),
        dict.fromkeys(dataset.text_views, WORDS),
        settings,
    )
    optimizer = Adam(network.parameters(), lr=2e-3, betas=(0.99, 0.99))

    def epoch() -> None:
        for batch in sampler.epoch():
            optimizer.zero_grad()
            torch.stack(list(network.loss(batch).values())).sum().backward()
            optimizer.step()

    return epoch


class _Rows(torch.utils.data.Dataset[dict[str, Tensor]]):
    """Rows as the released code serves them: each made dense by itself."""

    def __init__(self, dataset: MultiviewDataset) -> None:
        self.dataset = dataset
        self.counts = {name: view.bag_of_words for name, view in dataset.text_views.items()}

    def __len__(self) -> int:
        return TUPLES

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        made = {
            f"words/{name}": torch.FloatTensor(counts[[row]].toarray())
            for name, counts in self.counts.items()
        }
        for name, view in self.dataset.views.items():
            assert view.embeddings is not None
            made[f"vector/{name}"] = torch.FloatTensor(view.embeddings[row])
        return made


def _pairs_nt_xent(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Return NT-Xent as a general metric-learning library computes it: from lists of pairs."""
    vectors = functional.normalize(torch.cat([first, second]))
    labels = torch.arange(len(first)).repeat(2)
    same = labels[:, None] == labels[None, :]
    anchor, positive = torch.where(same & ~torch.eye(len(labels), dtype=torch.bool))
    other_anchor, negative = torch.where(~same)
    scores = vectors @ vectors.T / temperature
    near = scores[anchor, positive][:, None]
    far = scores[other_anchor, negative]
    belongs = other_anchor[None, :] == anchor[:, None]
    far = (far * belongs).masked_fill(~belongs, float("-inf"))
    top = torch.maximum(near, far.max(dim=1, keepdim=True).values).detach()
    numerator = (near - top).exp().squeeze(1)
    return -(numerator / ((far - top).exp().sum(dim=1) + numerator)).log().mean()


def released_epoch(dataset: MultiviewDataset) -> Callable[[], None]:
    """Return an epoch of the released code's step, transcribed plainly."""
    from contextualized_topic_models.networks.decoding_network import DecoderNetwork

    views = list(dataset.views)
    networks = nn.ModuleDict(
        {n: DecoderNetwork(WORDS, DIMENSIONS, "zeroshot", TOPICS) for n in views}
    )
    optimizer = torch.optim.Adam(networks.parameters(), lr=2e-3, betas=(0.99, 0.99))
    loader = torch.utils.data.DataLoader(_Rows(dataset), batch_size=BATCH, shuffle=True)

    def epoch() -> None:
        for batch in loader:
            optimizer.zero_grad()
            loss = torch.zeros(())
            thetas: dict[str, Tensor] = {}
            for name in views:
                network: Any = networks[name]
                mean, log_variance = network.get_posterior(None, batch[f"vector/{name}"])
                thetas[name] = network.reparameterize(mean, log_variance).softmax(dim=1)
                variance, prior = log_variance.exp(), network.prior_variance
                divergence = 0.5 * (
                    (variance / prior).sum(1)
                    + ((network.prior_mean - mean) ** 2 / prior).sum(1)
                    - TOPICS
                    + prior.log().sum()
                    - log_variance.sum(1)
                )
                loss = loss + 0.01 * divergence.sum()
                if name in dataset.text_views:
                    dropped = network.drop_theta(thetas[name])
                    said = functional.softmax(network.beta_batchnorm(dropped @ network.beta), 1)
                    counts = batch[f"words/{name}"].reshape(len(mean), -1)
                    loss = loss - (counts * torch.log(said + 1e-10)).sum()
            for number, first in enumerate(views):
                for second in views[number + 1 :]:
                    pair = _pairs_nt_xent(thetas[first], thetas[second], 0.07)
                    loss = loss + 50.0 * BATCH * pair
            loss.backward()
            optimizer.step()

    return epoch


def m3l_contrast() -> dict[str, Callable[[], None]]:
    """Return an epoch on two languages and images: ours, and the released step."""
    dataset = synthetic()
    return {"ours": our_epoch(dataset), "reference": released_epoch(dataset)}


def zeroshot_tm() -> dict[str, Callable[[], None]]:
    """Return an epoch on one language: ours, and contextualized-topic-models' own loop."""
    from contextualized_topic_models.models.ctm import ZeroShotTM
    from torch.utils.data import DataLoader

    dataset = synthetic().with_views(["en"])
    view = dataset.text_view("en")
    assert view.embeddings is not None
    tensors = ViewTensors(view.embeddings, view.bag_of_words, view.vocabulary)
    theirs = ZeroShotTM(
        bow_size=WORDS, contextual_size=DIMENSIONS, n_components=TOPICS, num_data_loader_workers=0
    )
    loader = DataLoader(tensors, batch_size=BATCH, shuffle=True)
    settings = ZeroshotTMSettings(num_topics=TOPICS, batch_size=BATCH)
    network = ZeroshotTMNetwork({"en": DIMENSIONS}, {"en": WORDS}, settings)
    optimizer = Adam(network.parameters(), lr=2e-3, betas=(0.99, 0.99))
    sampler = TupleSampler(dataset, "train", {"en": view.embeddings}, BATCH)

    def ours() -> None:
        for batch in sampler.epoch():
            optimizer.zero_grad()
            torch.stack(list(network.loss(batch).values())).sum().backward()
            optimizer.step()

    def reference() -> None:
        theirs._train_epoch(loader)

    return {"ours": ours, "reference": reference}


def planted_corpus(documents: int, length: int) -> LinkedCorpus:
    """Return documents of one language drawn from LDA with K = 100 and 2,000 words."""
    random = np.random.default_rng(0)
    phi = random.dirichlet(np.full(WORDS, 0.05), TOPICS).cumsum(axis=1)
    theta = random.dirichlet(np.full(TOPICS, 0.1), documents)
    topics = np.concatenate([random.choice(TOPICS, length, p=one) for one in theta])
    words = np.empty(documents * length, np.int32)
    for topic in range(TOPICS):
        of_topic = topics == topic
        words[of_topic] = np.searchsorted(phi[topic], random.random(of_topic.sum()))
    return LinkedCorpus(
        ("en",),
        np.array([WORDS]),
        np.minimum(words, WORDS - 1),
        np.arange(documents + 1) * length,
        np.zeros(documents, np.int32),
        np.arange(documents + 1),
    )


def pltm(repeats: int) -> None:
    """Print Mtokens/s of the sampler beside tomotopy's LDA, and of two threads beside one.

    K = 100, after 60 sweeps of burn-in, in turn: five sweeps of each. Against tomotopy in CPU
    time, one thread. Two threads in wall-clock time, sweep by sweep beside one thread, the median
    of the ratios of neighbouring sweeps, so that a shared machine's changes of pace fall on both.
    Then whole runs.
    """
    import tomotopy

    found: dict[str, float] = {}
    table = Table("documents", "ours", "tomotopy", "ratio", title="Mtokens/s of CPU time")
    for label, documents, length in (("long", 4000, 200), ("short", 40000, 16)):
        corpus = planted_corpus(documents, length)
        chain = Chain(corpus, TOPICS, alpha=0.1, eta=0.01, seed=0)
        rival = tomotopy.LDAModel(k=TOPICS, alpha=0.1, eta=0.01, seed=1)
        rival.optim_interval = 0
        for document in corpus.words.reshape(documents, length):
            rival.add_doc([str(word) for word in document])
        two = Chain(corpus, TOPICS, alpha=0.1, eta=0.01, seed=0, threads=2)
        for _ in range(60):
            chain.sweep()
            two.sweep()
        rival.train(60, workers=1)
        taken: dict[str, list[float]] = {"ours": [], "tomotopy": [], "wall": [], "two": []}
        for _ in range(repeats):
            cpu = time.process_time()
            for _ in range(5):
                chain.sweep()
            taken["ours"].append(time.process_time() - cpu)
            cpu = time.process_time()
            rival.train(5, workers=1)
            taken["tomotopy"].append(time.process_time() - cpu)
        for _ in range(8 * repeats):
            for name, one in (("wall", chain), ("two", two)):
                wall = time.perf_counter()
                one.sweep()
                taken[name].append(time.perf_counter() - wall)
        tokens = 5 * len(corpus.words) / 1e6
        found[label] = median(b / a for a, b in zip(taken["ours"], taken["tomotopy"], strict=True))
        found[f"{label}_two_threads"] = median(
            b / a for a, b in zip(taken["two"], taken["wall"], strict=True)
        )
        speeds = [tokens / median(taken[name]) for name in ("ours", "tomotopy")]
        found |= {f"{label}_mtokens": speeds[0], f"{label}_mtokens_tomotopy": speeds[1]}
        table.add_row(label, *[f"{speed:.1f}" for speed in speeds], f"{found[label]:.2f}")
    Console(width=100).print(table)
    found["two_threads"] = found["long_two_threads"]
    found |= whole_runs()
    print(f"two threads beside one: {found['two_threads']:.2f} times as fast (long documents)")
    finish(
        {name: round(value, 2) for name, value in found.items()},
        data="planted, 2,000 words: 4,000 documents of 200 tokens, 40,000 of 16; whole runs: 200 "
        "sweeps of 20,000 documents of 100",
        settings={"num_topics": TOPICS, "threads": 1},
        seeds=1,
    )


def whole_runs() -> dict[str, float]:
    """Print seconds of 200 sweeps from the first, ours beside tomotopy with as many workers.

    Both start from nothing, and take turns of ten sweeps. Wall-clock time, with one thread, two,
    and as many as there are cores.
    """
    import tomotopy

    documents, length, turns = 20_000, 100, 20
    corpus, found = planted_corpus(documents, length), {}
    rows = corpus.words.reshape(documents, length).astype(str).tolist()
    cores = len(os.sched_getaffinity(0))
    table = Table("threads", "ours", "tomotopy", "ratio", title="seconds of 200 sweeps")
    for threads in sorted({1, min(2, cores), cores}):
        rival = tomotopy.LDAModel(k=TOPICS, alpha=0.1, eta=0.01, seed=1)
        rival.optim_interval = 0
        for row in rows:
            rival.add_doc(row)
        started = time.perf_counter()
        chain = Chain(corpus, TOPICS, alpha=0.1, eta=0.01, seed=0, threads=threads)
        ours, theirs = time.perf_counter() - started, 0.0
        for _ in range(turns):
            started = time.perf_counter()
            for _ in range(200 // turns):
                chain.sweep()
            turned = time.perf_counter()
            rival.train(200 // turns, workers=threads)
            ours, theirs = ours + turned - started, theirs + time.perf_counter() - turned
        ratio = theirs / ours
        table.add_row(str(threads), f"{ours:.1f}", f"{theirs:.1f}", f"{ratio:.2f}")
        found |= {"whole_run": ratio} if threads == 1 else {}
        found |= {"whole_run_two_threads": ratio} if threads == 2 else {}
        found["whole_run_all_threads"] = ratio
    Console(width=100).print(table)
    return found


def npmi() -> None:
    """Print seconds of c_npmi of 100 topics, when words are counted and again, and of gensim."""
    random, documents, tokens = np.random.default_rng(0), 20_000, 100
    share = 1 / np.arange(1, WORDS + 1)
    words = random.choice(WORDS, documents * tokens, p=share / share.sum()).astype(np.int32)
    view = TextView(
        name="en",
        sizes=(documents, 0, 0),
        vocabulary=tuple(f"word{i}" for i in range(WORDS)),
        token_ids=words,
        offsets=np.arange(documents + 1) * tokens,
    )
    metric = NPMI(MultiviewDataset([view]))
    topics = np.array([random.permutation(WORDS)[:10] for _ in range(TOPICS)])
    texts = view.documents(view.rows("train"))
    named = {"topics": [[view.vocabulary[word] for word in topic] for topic in topics]}
    seconds, scores = [], []
    for score in (
        lambda: metric.score({"topics/en": topics}),
        lambda: metric.score({"topics/en": topics}),
        lambda: Coherence(texts=texts, topk=10, measure="c_npmi").score(named),
    ):
        started = time.process_time()
        scores.append(float(score()))
        seconds.append(time.process_time() - started)
    table = Table("", "CPU seconds", title="c_npmi of 100 topics in 20,000 documents of 100 tokens")
    for name, taken in zip(("first", "again", "OCTIS (gensim)"), seconds, strict=True):
        table.add_row(name, f"{taken:.3f}")
    Console(width=100).print(table)
    finish(
        {
            "ratio": round(seconds[2] / seconds[0], 1),
            "ratio_again": round(seconds[2] / seconds[1]),
            "difference": abs(scores[0] - scores[2]),
        },
        data="20,000 documents of 100 tokens, 2,000 words",
        settings={"topics": TOPICS, "topk": 10, "threads": 1},
        seeds=1,
    )


def retrieval() -> None:
    """Print seconds of MRR and of all divergences, for a good model, a weak one and chance."""
    documents, topics, queries = 10_000, 50, 1_000
    views = [
        TextView(
            name=name,
            sizes=(0, 0, documents),
            vocabulary=("word",),
            token_ids=np.zeros(documents, np.int32),
            offsets=np.arange(documents + 1),
        )
        for name in ("en", "de")
    ]
    metric, random = (
        MRR(MultiviewDataset.linked_by_row(views), "en", "de"),
        np.random.default_rng(0),
    )
    table = Table("noise", "MRR", "CPU seconds", "with all divergences", title="retrieval")
    found: dict[str, float] = {}
    for name, noise in (("", 0.5), ("_weak", 1.0), ("_chance", 4.0)):
        shared = random.standard_normal((documents, topics))
        both = [softmax(shared + noise * random.standard_normal(shared.shape), 1) for _ in views]
        output = {
            f"test-topic-document-matrix/{n}": t.T for n, t in zip(("en", "de"), both, strict=True)
        }
        started = time.process_time()
        mrr = metric.score(output)
        ours = time.process_time() - started
        started = time.process_time()
        for first in range(0, queries, 100):
            distances = jensen_shannon_matrix(both[0][first : first + 100], both[1]).round(12)
            reciprocal_ranks(distances, np.eye(100, documents, first, dtype=bool))
        reference = (time.process_time() - started) * documents / queries
        table.add_row(str(noise), f"{mrr:.3f}", f"{ours:.2f}", f"{reference:.2f}")
        found |= {f"mrr{name}": round(mrr, 3), f"ratio{name}": round(reference / ours, 1)}
    Console(width=100).print(table)
    finish(found, data="10,000 × 10,000 documents", settings={"topics": 50, "threads": 1}, seeds=1)


UNLINKED = ("gloctm", "infoctm", "nmtm")
BENCHMARKS: dict[str, Callable[[], dict[str, Callable[[], None]]]] = {
    "m3l-contrast": m3l_contrast,
    "zeroshot-tm": zeroshot_tm,
}


def contender(name: str, key: str) -> tuple[Callable[[], None], float]:
    """Return an epoch of one of the two.

    Parameters
    ----------
    name, key : str
        Of `BENCHMARKS`, and 'ours' or 'reference'.
    """
    return BENCHMARKS[name]()[key], 1.0


def main() -> None:
    """Time the two in turn, and print medians and the median of paired ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "name", choices=sorted([*BENCHMARKS, "npmi", "pltm", "retrieval", *UNLINKED])
    )
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    # contextualized-topic-models' networks go to a GPU by themselves where there is one.
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    if arguments.name == "pltm":
        torch.set_num_threads(arguments.threads)
        pltm(arguments.repeats)
        return
    if arguments.name in ("npmi", "retrieval"):
        {"npmi": npmi, "retrieval": retrieval}[arguments.name]()
        return
    if arguments.name in UNLINKED:
        speed_unlinked.measure(arguments.name, arguments.repeats)
        return
    contenders = {key: (contender, (arguments.name, key)) for key in ("ours", "reference")}
    taken = in_turn(contenders, arguments.repeats, arguments.threads)
    ratios = [b / a for a, b in zip(taken["ours"], taken["reference"], strict=True)]
    table = Table("", "CPU seconds an epoch, median", "fastest", title=arguments.name)
    for name, seconds in taken.items():
        table.add_row(name, f"{median(seconds):.3f}", f"{min(seconds):.3f}")
    Console(width=100).print(table)
    finish(
        {
            "seconds_per_epoch": round(median(taken["ours"]), 4),
            "reference_seconds_per_epoch": round(median(taken["reference"]), 4),
            "ratio": round(median(ratios), 2),
        },
        data=f"{TUPLES} tuples, {WORDS} words a language, {DIMENSIONS}-d vectors",
        settings={"num_topics": TOPICS, "batch_size": BATCH, "threads": arguments.threads},
        seeds=1,
    )


if __name__ == "__main__":
    main()

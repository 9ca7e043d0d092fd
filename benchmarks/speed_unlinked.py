"""An epoch of the models of unlinked languages on ECNews, beside dense transcriptions."""

import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from statistics import median
from typing import Any

import numpy as np
import torch
from data_sets import load
from report import finish
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional
from turns import in_turn

from octis_m3l.data.batches import Batch, UnlinkedSampler, ViewTensors
from octis_m3l.data.words import near_words, translations
from octis_m3l.models import MODELS
from octis_m3l.networks import Expansion, expansion_table

STEPS = 25


class Dense(nn.Module):
    """The three models' step as their authors write it: dense inputs, matrices and masks.

    Parameters
    ----------
    dataset : MultiviewDataset
        Of two views.
    name : str
        'gloctm', 'infoctm' or 'nmtm'.
    units : int
        Of a hidden layer.
    """

    def __init__(self, dataset: Any, name: str, units: int) -> None:
        super().__init__()
        self.name, self.views = name, list(dataset.views)
        views = dataset.text_views
        self.sizes = {view: len(views[view].vocabulary) for view in views}
        self.local = nn.ModuleDict({v: _Encoder(n, units) for v, n in self.sizes.items()})
        self.betas = nn.ParameterDict(
            {v: nn.init.xavier_uniform_(torch.empty(50, n)) for v, n in self.sizes.items()}
        )
        self.norms = nn.ModuleDict({v: nn.BatchNorm1d(n) for v, n in self.sizes.items()})
        joint = sum(self.sizes.values())
        if name == "gloctm":
            self.everywhere = _Encoder(joint, 200)
            self.joint_norm = nn.BatchNorm1d(joint)
        else:
            one, other = self.views
            pairs = translations(dataset.dictionaries, dataset.text_views, name)
            self.matrices = {}
            for source, target in ((one, other), (other, one)):
                matrix = torch.zeros(self.sizes[source], self.sizes[target])
                matrix[tuple(torch.from_numpy(pairs[source, target].T.copy()))] = 1.0
                if name == "nmtm":
                    often = np.asarray(views[source].bag_of_words.sum(axis=0)).ravel()
                    matrix = matrix * torch.from_numpy(often)[:, None] + 1
                    matrix = (matrix / matrix.sum(dim=1, keepdim=True)).float()
                else:
                    near = near_words(views[source].word_vectors, 0.4).todense()
                    matrix = torch.from_numpy(near).float() @ matrix
                self.matrices[source] = matrix

    def loss(self, batch: Batch, widened: dict[str, Tensor]) -> Tensor:
        """Return the whole loss of a batch.

        Parameters
        ----------
        batch : Batch
            Of both views.
        widened : dict of view to Tensor
            GloCTM's expanded bags of words, dense.
        """
        betas = dict(self.betas.items())
        if self.name == "nmtm":
            one, other = self.views
            betas = {
                one: 0.8 * betas[other] @ self.matrices[other] + 0.2 * betas[one],
                other: 0.8 * betas[one] @ self.matrices[one] + 0.2 * betas[other],
            }
        total = torch.zeros(())
        for view in self.views:
            words = batch.views[view].words
            assert words is not None
            x = words.dense(self.sizes[view])
            mean, log_variance, theta = self.local[view](x)
            total = total + _autoencoded(
                x, mean, log_variance, theta, betas[view], self.norms[view]
            )
            if self.name != "gloctm":
                continue
            joint = torch.cat([betas[v] for v in self.views], dim=1)
            g = widened[view]
            m, v, wide = self.everywhere(g)
            total = total + _autoencoded(g, m, v, wide, joint, self.joint_norm)
            squares = (mean - m).square() / v.exp()
            apart = (log_variance - v).exp() + squares - 1 + v - log_variance
            s, t = theta.double(), batch.views[view].embeddings.double()
            s, t = s - s.mean(0), t - t.mean(0)
            alike = (s.T @ t).norm() / ((s.T @ s).norm() * (t.T @ t).norm()).sqrt()
            total = total + 4.0 * 0.5 * apart.sum(1).mean() + 450.0 * (1 - alike).float()
        if self.name == "infoctm":
            one, other = (functional.normalize(betas[view].T, dim=1) for view in self.views)
            aligned = torch.zeros(())
            for a, b, view in ((one, other, self.views[0]), (other, one, self.views[1])):
                scores = a @ b.T / 0.2
                scores = scores - scores.max(dim=1, keepdim=True).values.detach()
                likely = scores.exp()
                mask = self.matrices[view]
                rest = (likely * (mask <= 0)).sum(dim=1, keepdim=True)
                aligned = aligned - (mask * (scores - (rest + likely + 1e-10).log())).sum()
            total = total + 50.0 * aligned / sum(m.sum() for m in self.matrices.values())
        return total


class _Encoder(nn.Module):
    def __init__(self, words: int, units: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(words, units), nn.Linear(units, units)
        self.mean, self.log_variance = nn.Linear(units, 50), nn.Linear(units, 50)
        self.norms = nn.ModuleList([nn.BatchNorm1d(50), nn.BatchNorm1d(50)])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        hidden = functional.softplus(self.second(functional.softplus(self.first(x))))
        mean, log_variance = (
            self.norms[0](self.mean(hidden)),
            self.norms[1](self.log_variance(hidden)),
        )
        noise = torch.randn_like(mean)
        return mean, log_variance, (mean + (0.5 * log_variance).exp() * noise).softmax(dim=1)


def _autoencoded(
    x: Tensor, mean: Tensor, log_variance: Tensor, theta: Tensor, beta: Tensor, norm: nn.Module
) -> Tensor:
    said = norm(theta @ beta).softmax(dim=1)
    lost = -(x * (said + 1e-10).log()).sum(dim=1)
    prior = torch.tensor(1 - 1 / 50)
    variance = log_variance.exp()
    diverged = variance / prior + mean.square() / prior + prior.log() - log_variance
    return (lost + 0.5 * (diverged.sum(dim=1) - 50)).mean()


def expansion(dataset: Any, table: Any, view: str) -> dict[str, float]:
    """Return how long G of all training documents takes, ours and a loop; and ours' memory.

    The loop is the definition: over every document and every word of the vocabulary.

    Parameters
    ----------
    dataset : MultiviewDataset
        The data.
    table : array
        Of the view.
    view : str
        Which.
    """
    counts = dataset.text_view(view).bag_of_words[dataset.view(view).rows("train")]
    expand = Expansion(table)
    tensors = ViewTensors(np.zeros((counts.shape[0], 0), np.float32), counts, ["?"] * len(table))
    rows = torch.arange(counts.shape[0])
    started = time.process_time()
    for piece in rows.split(128):
        expand(tensors.words(piece))
    ours = time.process_time() - started
    some = 200
    joint = 1 + int(table.max())
    dense = counts[:some].todense()
    started = time.process_time()
    for document in dense:
        wide = np.zeros(joint)
        for word, count in enumerate(document):
            if count > 0:
                for other in table[word]:
                    if other >= 0:
                        wide[other] += 1
    loop = (time.process_time() - started) / some * counts.shape[0]
    entries = max(len(expand(tensors.words(piece)).words) for piece in rows.split(128))
    return {
        "expansion_seconds": ours,
        "expansion_loop_seconds": loop,
        "expansion_ratio": loop / ours,
        # Row, word and count of each entry of the largest batch, and the table.
        "expansion_megabytes": (entries * 20 + table.nbytes) / 1e6,
    }


def contender(name: str, key: str) -> tuple[Callable[[], None], float]:
    """Return some steps on ECNews, and how many times as long an epoch is.

    Parameters
    ----------
    name : str
        'gloctm', 'infoctm' or 'nmtm'.
    key : str
        'ours' or 'dense'.
    """
    dataset = load("ecnews", None)
    network, sampler = ours(name, dataset)
    batches = list(islice(sampler.epoch(), STEPS))
    loss: Callable[[Batch], Tensor] = lambda batch: torch.stack(  # noqa: E731
        list(network.loss(batch).values())
    ).sum()
    if key == "dense":
        loss, network = dense_loss(name, dataset, network, batches)
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, 2e-3, fused=key == "ours")

    def steps() -> None:
        for batch in batches:
            optimizer.zero_grad()
            torch.autograd.backward(loss(batch))
            optimizer.step()

    return steps, len(sampler) / len(batches)


def ours(name: str, dataset: Any) -> tuple[Any, UnlinkedSampler]:
    """Return a model's network before training, and its batches.

    Parameters
    ----------
    name : str
        'gloctm', 'infoctm' or 'nmtm'.
    dataset : MultiviewDataset
        The data.
    """
    given = {"encoder": "word-vectors"} if name == "gloctm" else {}
    model: Any = MODELS[name](num_topics=50, **given)
    fit = model._fitting(dataset, model.hyperparameters, 10)
    fit = replace(fit, embeddings=model._embed(fit))
    network = model._network(model._shape(fit), fit.settings)
    model._fill(network, fit)
    return network, UnlinkedSampler(dataset, "train", fit.embeddings, fit.settings.batch_size)


def dense_loss(
    name: str, dataset: Any, network: Any, batches: list[Batch]
) -> tuple[Callable[[Batch], Tensor], Dense]:
    """Return the dense transcription's loss of a batch, and its network.

    Parameters
    ----------
    name : str
        'gloctm', 'infoctm' or 'nmtm'.
    dataset : MultiviewDataset
        The data.
    network : nn.Module
        Ours, of the same sizes.
    batches : list of Batch
        All that it will be asked for; GloCTM's are expanded here, which is not timed.
    """
    units = MODELS[name]().hyperparameters["hidden_size"]
    dense = Dense(dataset, name, units)
    widened: dict[int, dict[str, Tensor]] = {id(batch): {} for batch in batches}
    if name == "gloctm":
        joint = sum(dense.sizes.values())
        for batch in batches:
            widened[id(batch)] = {
                view: network.expansions[view](of_view.words).dense(joint)
                for view, of_view in batch.views.items()
            }
    return (lambda batch: dense.loss(batch, widened[id(batch)])), dense


def measure(name: str, repeats: int) -> None:
    """Print CPU seconds an epoch, ours and the dense transcription, in turn.

    Parameters
    ----------
    name : str
        'gloctm', 'infoctm' or 'nmtm'.
    repeats : int
        How often some batches of each are timed.
    """
    taken = in_turn({key: (contender, (name, key)) for key in ("ours", "dense")}, repeats)
    found = {
        "seconds_per_epoch": median(taken["ours"]),
        "dense_seconds_per_epoch": median(taken["dense"]),
        "ratio": median(b / a for a, b in zip(taken["ours"], taken["dense"], strict=True)),
    }
    dataset = load("ecnews", None)
    _, sampler = ours(name, dataset)
    if name == "gloctm":
        vectors = {view: dataset.text_view(view).word_vectors for view in dataset.views}
        found |= expansion(dataset, expansion_table(vectors, "en", 3), "en")
    table = Table("", "CPU seconds an epoch, median", "fastest", title=name)
    for key, seconds in taken.items():
        table.add_row(key, f"{median(seconds):.2f}", f"{min(seconds):.2f}")
    Console(width=100).print(table)
    finish(
        {key: round(value, 2) for key, value in found.items()},
        data=f"ecnews, {len(sampler)} batches of {sampler.batch_size} documents a language",
        settings={"num_topics": 50, "threads": 1},
        seeds=1,
    )

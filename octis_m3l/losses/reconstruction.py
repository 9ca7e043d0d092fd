"""Reconstruction of bags of words (ProdLDA)."""

from torch import Tensor
from torch.nn import functional

from octis_m3l.data.batches import SparseRows


def reconstruction(logits: Tensor, words: SparseRows) -> Tensor:
    """Return −Σ_w w · log softmax(logits) of each document, in nats, for logits BN(θβ).

    The words stay sparse: only the log-probabilities of words that occur are read.

    References
    ----------
    Srivastava & Sutton (2017), Autoencoding variational inference for topic models, eq. 8.
    """
    log_probabilities = functional.log_softmax(logits, dim=1)
    places = words.rows * logits.shape[1] + words.words
    chosen = log_probabilities.reshape(-1).index_select(0, places)
    return -words.summed(chosen * words.counts)

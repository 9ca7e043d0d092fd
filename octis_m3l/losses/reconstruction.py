"""Reconstruction of bags of words (ProdLDA)."""

from torch import Tensor

from octis_m3l.data.batches import SparseRows


def reconstruction(logits: Tensor, words: SparseRows) -> Tensor:
    """Return −Σ_w w · log softmax(logits) of each document.

    The words stay sparse: Σ_w w · log p = Σ_w w · logit − |w| · log Σ exp(logit).

    Parameters
    ----------
    logits : Tensor (documents × vocabulary)
        Batch-normalised θβ.
    words : SparseRows
        The documents' bags of words.

    Returns
    -------
    Tensor (documents)
        In nats a document.

    References
    ----------
    Srivastava & Sutton (2017), Autoencoding variational inference for topic models, eq. 8.
    """
    vocabulary = logits.shape[1]
    chosen = logits.reshape(-1).index_select(0, words.rows * vocabulary + words.words)
    said = logits.new_zeros(logits.shape[0]).index_add(0, words.rows, chosen * words.counts)
    return words.totals * logits.logsumexp(dim=1) - said

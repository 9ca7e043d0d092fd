"""From topics to words."""

from typing import Literal, cast

import torch
from torch import Tensor, nn

from octis_m3l.data.batches import SparseRows
from octis_m3l.networks.decoding import decoded_loss

TopicForm = Literal["beta", "centred", "batch-normalised"]


class TopicDecoder(nn.Module):
    """Topics of one vocabulary: p = softmax(BN(θβ)), a product of experts.

    Parameters
    ----------
    topics : int
        K.
    vocabulary : int
        How many words.

    References
    ----------
    Srivastava & Sutton (2017), section 3.3.
    """

    def __init__(self, topics: int, vocabulary: int) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.empty(topics, vocabulary))
        nn.init.xavier_uniform_(self.beta)
        self.batch_norm = nn.BatchNorm1d(vocabulary, affine=False)

    def forward(self, theta: Tensor) -> Tensor:
        """Return the logits of the words (rows × vocabulary).

        Parameters
        ----------
        theta : Tensor (rows × K)
            Topic proportions.
        """
        return cast(Tensor, self.batch_norm(theta @ self.beta))

    def loss(self, theta: Tensor, words: SparseRows) -> Tensor:
        """Return the reconstruction loss of each row.

        Parameters
        ----------
        theta : Tensor (rows × K)
            Topic proportions.
        words : SparseRows
            The documents' bags of words.
        """
        return decoded_loss(theta @ self.beta, self.batch_norm, words)

    def topic_word_matrix(self, form: TopicForm = "beta") -> Tensor:
        """Return the distribution of words in each topic (K × vocabulary).

        Parameters
        ----------
        form : {'beta', 'centred', 'batch-normalised'}
            'beta': softmax(β), as contextualized-topic-models. 'centred': softmax(β − m), where m
            is each word's mean logit over training documents, the running mean of the batch
            norm: a word that every topic has ranks first in none. 'batch-normalised':
            softmax(BN(β)), the decoder's distribution for a document of one topic only.
        """
        beta = self.beta.detach()
        mean, variance = self.batch_norm.running_mean, self.batch_norm.running_var
        assert mean is not None and variance is not None
        if form != "beta":
            beta = beta - mean
        if form == "batch-normalised":
            beta = beta * (variance + self.batch_norm.eps).rsqrt()
        return beta.softmax(dim=1)

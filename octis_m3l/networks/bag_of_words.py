"""From a bag of words to the posterior over topics, as the cross-lingual line has it."""

from typing import Literal, cast

import torch
from contextualized_topic_models.networks.inference_network import ContextualInferenceNetwork
from torch import Tensor, nn

from octis_m3l.data.batches import SparseRows
from octis_m3l.networks.sparse_linear import SparseLinear


class ShiftedBatchNorm(nn.BatchNorm1d):
    """Batch normalisation with a learned shift and a scale that stays 1.

    Parameters
    ----------
    columns : int
        Of the input.
    epsilon : float
        Added to the variance.

    References
    ----------
    Wu et al. (2020), NMTM; Wu et al. (2023), InfoCTM; Phat et al. (2026), GloCTM.
    """

    def __init__(self, columns: int, epsilon: float = 1e-5) -> None:
        super().__init__(columns, eps=epsilon)
        self.weight.requires_grad_(False)


class BagOfWordsNetwork(ContextualInferenceNetwork):  # type: ignore[misc]
    """contextualized-topic-models' network, reading sparse bags of words.

    Parameters
    ----------
    words : int
        Of the vocabulary.
    topics : int
        K.
    hidden_sizes : tuple of int
        Units of each hidden layer.
    activation : {'softplus', 'relu'}
        Between layers.
    dropout : float
        After the last hidden layer.
    epsilon : float
        Of batch normalisation.
    """

    def __init__(
        self,
        words: int,
        topics: int,
        hidden_sizes: tuple[int, ...],
        *,
        activation: Literal["softplus", "relu"] = "softplus",
        dropout: float = 0.0,
        epsilon: float = 1e-5,
    ) -> None:
        super().__init__(0, 1, topics, hidden_sizes, activation, dropout)
        self.input_layer: nn.Module = SparseLinear(words, hidden_sizes[0])
        self.f_mu_batchnorm = ShiftedBatchNorm(topics, epsilon)
        self.f_sigma_batchnorm = ShiftedBatchNorm(topics, epsilon)

    def forward(self, words: SparseRows) -> tuple[Tensor, Tensor]:
        """Return μ and log σ² of each row (rows × K).

        Parameters
        ----------
        words : SparseRows
            Bags of words.
        """
        return cast(tuple[Tensor, Tensor], super().forward(None, words))


class SharedDecoder(nn.Module):
    """p = softmax(BN(θβ)) with a β that is given: several decoders can share one.

    Parameters
    ----------
    vocabulary : int
        Columns of β.
    epsilon : float
        Of batch normalisation.
    """

    def __init__(self, vocabulary: int, *, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.batch_norm = ShiftedBatchNorm(vocabulary, epsilon)

    def forward(self, theta: Tensor, beta: Tensor) -> Tensor:
        """Return the logits of the words (rows × vocabulary).

        Parameters
        ----------
        theta : Tensor (rows × K)
            Topic proportions.
        beta : Tensor (K × vocabulary)
            Topics.
        """
        return cast(Tensor, self.batch_norm(theta @ beta))


def xavier(topics: int, vocabulary: int) -> nn.Parameter:
    """Return a new β.

    Parameters
    ----------
    topics, vocabulary : int
        Its rows and columns.
    """
    beta = torch.empty(topics, vocabulary)
    return nn.Parameter(nn.init.xavier_uniform_(beta))

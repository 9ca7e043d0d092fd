"""From bags of words to the posterior over topics, as in NMTM, InfoCTM and GloCTM."""

from collections.abc import Sequence
from typing import Literal, cast

import torch
from contextualized_topic_models.networks.inference_network import ContextualInferenceNetwork
from torch import Tensor, nn

from octis_m3l.data.batches import SparseRows
from octis_m3l.networks.decoding import decoded_loss
from octis_m3l.networks.sparse_linear import SparseLinear
from octis_m3l.networks.view_modules import ViewModules


class ShiftedBatchNorm(nn.BatchNorm1d):
    """Batch normalisation with a learned shift and a scale fixed at 1.

    References
    ----------
    Wu et al. (2020), NMTM; Wu et al. (2023), InfoCTM; Phat et al. (2026), GloCTM.
    """

    def __init__(self, columns: int, epsilon: float = 1e-5) -> None:
        super().__init__(columns, eps=epsilon)
        self.weight.requires_grad_(False)


class ViewBatchNorm(nn.Module):
    """The same for several views: a common shift, and running statistics for each view.

    In training every batch is of one view and normalised by itself. If the running statistics
    were shared, as in the released code, a new document would be normalised by those of the view
    that came last.
    """

    def __init__(self, columns: int, views: Sequence[str], epsilon: float = 1e-5) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(columns))
        self.of_view = ViewModules(
            {name: nn.BatchNorm1d(columns, eps=epsilon, affine=False) for name in views}
        )

    def forward(self, values: Tensor, view: str) -> Tensor:
        """Return the normalised columns."""
        return cast(Tensor, self.of_view[view](values) + self.bias)


class BagOfWordsNetwork(ContextualInferenceNetwork):  # type: ignore[misc]
    """contextualized-topic-models' network, reading sparse bags of words.

    Parameters
    ----------
    words : int
        The size of the vocabulary.
    topics : int
        K.
    hidden_sizes : tuple of int
        Units of each hidden layer.
    activation : {'softplus', 'relu'}
        Between layers.
    dropout : float
        After the last hidden layer.
    epsilon : float
        Added to the variance in batch normalisation.
    views : sequence of str, optional
        The views that share this network, if there are several.
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
        views: Sequence[str] = (),
    ) -> None:
        super().__init__(0, 1, topics, hidden_sizes, activation, dropout)
        self.input_layer: nn.Module = SparseLinear(words, hidden_sizes[0])
        for norm in ("f_mu_batchnorm", "f_sigma_batchnorm"):
            one = ViewBatchNorm(topics, views, epsilon) if views else None
            setattr(self, norm, one or ShiftedBatchNorm(topics, epsilon))

    def forward(self, words: SparseRows) -> tuple[Tensor, Tensor]:
        """Return μ and log σ² of each row (rows × K).

        Parameters
        ----------
        words : SparseRows
            Bags of words.
        """
        return self.upper(self.input_layer(words))

    def upper(self, first: Tensor, *view: str) -> tuple[Tensor, Tensor]:
        """Return μ and log σ² of each row (rows × K), from the output of the first layer.

        Parameters
        ----------
        first : Tensor (rows × units)
            Before the activation.
        *view : str
            The rows' view, if several views share the network.
        """
        hidden = self.dropout_enc(self.hiddens(self.activation(first)))
        mean: Tensor = self.f_mu_batchnorm(self.f_mu(hidden), *view)
        return mean, self.f_sigma_batchnorm(self.f_sigma(hidden), *view)


class SharedDecoder(nn.Module):
    """p = softmax(BN(θβ)) with a given β, which several decoders can share.

    Parameters
    ----------
    vocabulary : int
        Columns of β.
    epsilon : float
        Added to the variance in batch normalisation.
    """

    def __init__(self, vocabulary: int, *, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.batch_norm = ShiftedBatchNorm(vocabulary, epsilon)

    def loss(self, theta: Tensor, beta: Tensor, words: SparseRows) -> Tensor:
        """Return the reconstruction loss of each document.

        Parameters
        ----------
        theta : Tensor (documents × K)
            Topic proportions.
        beta : Tensor (K × vocabulary)
            Topics.
        words : SparseRows
            The documents' bags of words.
        """
        return decoded_loss(theta @ beta, self.batch_norm, words)


def xavier(topics: int, vocabulary: int) -> nn.Parameter:
    """Return a new β.

    Parameters
    ----------
    topics, vocabulary : int
        Its rows and columns.
    """
    beta = torch.empty(topics, vocabulary)
    return nn.Parameter(nn.init.xavier_uniform_(beta))

"""Static models of model2vec as encoders of texts: fast on any CPU."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from octis_m3l.encoders.opening import checked_texts, content_hash, finished, local, required
from octis_m3l.encoders.pretrained import PretrainedEncoder
from octis_m3l.errors import OctisM3LError

_FILES = ("*.safetensors", "*.json", "*.md")


@dataclass(eq=False)
class StaticEncoder(PretrainedEncoder):
    """Texts as means of fixed vectors of their tokens, of a model of model2vec.

    The one for many languages is ``minishlab/potion-multilingual-128M`` (101 languages, 256
    dimensions). Nothing is computed but means, and nothing is known of the order of words. Needs
    ``pip install "octis-m3l[static]"``.

    Parameters
    ----------
    model : str
        A name on the Hugging Face Hub, or a folder. One that is in the Hub's cache is taken as it
        is there.
    revision : str, optional
        A branch, tag or commit of the Hub.
    max_length : int, optional
        How many tokens of a text are read. None: all.
    normalise : bool
        Whether to divide each vector by its length. (A model may do so by itself.)
    progress : bool
        Whether to show a progress bar.

    References
    ----------
    Tulkens and van Dongen (2024), model2vec.
    """

    kind: ClassVar[str] = "model2vec"
    schemes: ClassVar[tuple[str, ...]] = ("model2vec",)
    reads: ClassVar[Literal["text", "picture"]] = "text"

    model: str
    _: KW_ONLY
    revision: str | None = None
    max_length: Annotated[int, Field(ge=1)] | None = 512
    normalise: bool = False
    progress: bool = False

    def encode(self, items: Sequence[str]) -> NDArray[np.float32]:
        """Return the texts' vectors (texts × dimensions).

        Parameters
        ----------
        items : sequence of str
            Raw texts. One without a token that the model knows gets zeros.

        Raises
        ------
        DataError
            If a text is empty, or the model can't be loaded.
        MissingDependencyError
            If model2vec is not installed.
        """
        texts = checked_texts(items)
        if not texts:
            return np.zeros((0, self.dimensions), np.float32)
        vectors = self._loaded.encode(
            texts,
            max_length=self.max_length,
            show_progress_bar=self.progress,
            use_multiprocessing=False,
        )
        self._dimensions = int(vectors.shape[1])
        return finished(vectors, "text", normalise=self.normalise)

    def _measured(self) -> int:
        return int(self._loaded.dim)

    def _weights(self) -> dict[str, str]:
        self._check_paths()
        folder = local(self.model)
        if folder is not None:
            return {"content": content_hash(folder)}
        name, commit = self._on_hub([self.model], self.revision)
        return {"model": name, "commit": commit}

    @cached_property
    def _loaded(self) -> Any:
        model2vec = required("model2vec", "model2vec", "static")
        self._check_weights()
        try:
            return model2vec.StaticModel.from_pretrained(local(self.model) or self._downloaded())
        except (MemoryError, OctisM3LError):
            raise
        except Exception as error:
            raise self._not_loaded(f"the model2vec model '{self.model}'", error) from None

    def _downloaded(self) -> Path:
        from huggingface_hub import snapshot_download

        name, commit = self._on_hub([self.model], self.revision)
        return Path(snapshot_download(name, revision=commit, allow_patterns=list(_FILES)))

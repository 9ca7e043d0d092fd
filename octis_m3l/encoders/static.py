"""Static models of model2vec as encoders of texts: fast on any CPU."""

from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray
from pydantic import PositiveInt

from octis_m3l.encoders.pretrained import PretrainedEncoder, existing_path
from octis_m3l.errors import import_extra


class StaticEncoder(PretrainedEncoder):
    """Encodes a text as the mean of fixed vectors of its tokens, with a model of model2vec.

    For many languages there is ``minishlab/potion-multilingual-128M`` (101 languages, 256
    dimensions). Nothing but means is computed, so the order of words has no effect, and a text
    without a token that the model knows gets zeros. Needs ``pip install "octis-m3l[static]"``.

    Parameters
    ----------
    model : str
        A name on the Hugging Face Hub, or a folder.
    revision : str, optional
        A branch, tag or commit of the Hub.
    max_length : int, optional
        The number of tokens of a text that are read. None: all.
    normalise, progress
        As for `PretrainedEncoder`. (Some models normalise by themselves.)

    References
    ----------
    Tulkens and van Dongen (2024), model2vec.
    """

    kind: ClassVar[str] = "model2vec"

    revision: str | None = None
    max_length: PositiveInt | None = 512

    def __init__(self, model: str, **settings: Any) -> None:
        super().__init__(model=model, **settings)

    def _load(self) -> Any:
        model2vec = import_extra("model2vec", "static")
        folder = existing_path(self.model)
        if folder is None:
            from huggingface_hub import snapshot_download

            name, commit = self._weights["model"], self._weights["commit"]
            files = ["*.safetensors", "*.json", "*.md"]
            folder = Path(snapshot_download(name, revision=commit, allow_patterns=files))
        return model2vec.StaticModel.from_pretrained(folder)

    def _vectors(self, items: list[str]) -> NDArray[Any]:
        vectors: NDArray[Any] = self._loaded.encode(
            items,
            max_length=self.max_length,
            show_progress_bar=self.progress,
            use_multiprocessing=False,
        )
        return vectors

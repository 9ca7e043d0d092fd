"""Any model of sentence-transformers as an encoder of texts."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from importlib import import_module
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from octis_m3l.devices import chosen_device
from octis_m3l.encoders.opening import (
    Precision,
    checked_texts,
    chosen_precision,
    content_hash,
    dtype_of,
    finished,
    halved,
    in_batches,
    local,
)
from octis_m3l.encoders.pretrained import PretrainedEncoder
from octis_m3l.errors import SettingsError

_AT_ONCE = 1000


@dataclass(eq=False)
class SentenceEncoder(PretrainedEncoder):
    """Texts through a model of sentence-transformers; how tokens are pooled is the model's own.

    Good ones for many languages are ``sentence-transformers/paraphrase-multilingual-mpnet-base-v2``
    (50 languages, 128 tokens), ``sentence-transformers/LaBSE`` (109) and
    ``intfloat/multilingual-e5-base`` (512 tokens, with ``prompt="query: "``).

    Parameters
    ----------
    model : str
        A name on the Hugging Face Hub, or a folder. One that is in the Hub's cache is taken as it
        is there.
    revision : str, optional
        A branch, tag or commit of the Hub.
    max_length : int, optional
        How many tokens of a text, or of a window, the model reads, its marks of begin and end
        included. Default: the model's own limit.
    long_texts : {'truncate', 'mean'}
        Of a longer text: read the beginning; or cut it all into windows that do not overlap,
        between words where there are spaces, and take the mean of the windows' vectors, weighted
        by their tokens.
    prompt : str, optional
        What to write before each text, or window. Default: the model's own, if it has any.
    batch_size : int or 'auto'
        Texts read at once; 'auto': 32, on CUDA more while there is room. A batch that does not
        fit is halved.
    precision : {'auto', 'float32', 'float16', 'bfloat16'}
        What is computed in; 'auto': float16 on CUDA, float32 elsewhere.
    device : str or sequence of str
        'auto': CUDA where there is one. Several: a process for each, of sentence-transformers'
        own pool. (A script that does so needs the guard ``if __name__ == "__main__":``.)
    normalise : bool
        Whether to divide each vector by its length.
    progress : bool
        Whether to show a progress bar.

    References
    ----------
    Reimers and Gurevych (2019, 2020).
    """

    kind: ClassVar[str] = "sentence-transformers"
    schemes: ClassVar[tuple[str, ...]] = ("sentence-transformers",)
    reads: ClassVar[Literal["text", "picture"]] = "text"

    model: str
    _: KW_ONLY
    revision: str | None = None
    max_length: Annotated[int, Field(ge=1)] | None = None
    long_texts: Literal["truncate", "mean"] = "truncate"
    prompt: str | None = None
    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    precision: Precision = "auto"
    device: str | Sequence[str] = "auto"
    normalise: bool = False
    progress: bool = False

    def encode(self, items: Sequence[str]) -> NDArray[np.float32]:
        """Return the texts' vectors (texts × dimensions).

        Parameters
        ----------
        items : sequence of str
            Raw texts.

        Raises
        ------
        DataError
            If a text is empty, the model can't be loaded, or a vector is not finite.
        """
        texts = checked_texts(items)
        if not texts:
            return np.zeros((0, self.dimensions), np.float32)
        vectors = self._means(texts) if self.long_texts == "mean" else self._vectors(texts)
        self._dimensions = int(vectors.shape[1])
        return finished(vectors, "text", normalise=self.normalise, precision=self._precision())

    def _vectors(self, texts: list[str]) -> NDArray[np.float32]:
        devices = self._devices
        if len(devices) > 1:
            return self._in_processes(texts, devices)
        network = self._loaded
        order = np.argsort([-len(text) for text in texts], kind="stable")

        def run(rows: NDArray[np.int64]) -> NDArray[Any]:
            found: NDArray[Any] = network.encode(
                [texts[row] for row in rows],
                prompt=self.prompt,
                batch_size=len(rows),
                show_progress_bar=False,
            )
            return found

        return in_batches(
            order,
            run,
            batch_size=self.batch_size,
            device=devices[0],
            progress=self.progress,
            what="text",
        )

    def _in_processes(self, texts: list[str], devices: list[str]) -> NDArray[np.float32]:
        import torch

        size = 32 if self.batch_size == "auto" else self.batch_size
        pool = self._loaded.start_multi_process_pool(devices)
        try:
            while True:
                try:
                    found = self._loaded.encode(
                        texts,
                        prompt=self.prompt,
                        batch_size=size,
                        show_progress_bar=self.progress,
                        pool=pool,
                    )
                    return np.asarray(found, np.float32)
                except torch.OutOfMemoryError:
                    pass
                size = halved(size, "text", " and ".join(devices))
        finally:
            self._loaded.stop_multi_process_pool(pool)

    def _means(self, texts: list[str]) -> NDArray[np.float32]:
        windows = self._windows(texts)
        counts = [len(of_text) for of_text in windows]
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)
        tokens = np.array([tokens for of_text in windows for _, tokens in of_text], np.float64)
        shares = tokens / np.repeat(np.add.reduceat(tokens, starts), counts)
        vectors = self._vectors([piece for of_text in windows for piece, _ in of_text])
        weighted = vectors * shares[:, None].astype(np.float32)
        return np.asarray(np.add.reduceat(weighted, starts, axis=0), np.float32)

    def _windows(self, texts: list[str]) -> list[list[tuple[str, int]]]:
        limit = _limit(self._loaded)
        if limit is None:
            return [[(text, 1)] for text in texts]
        tokenizer = self._loaded.tokenizer
        if not getattr(tokenizer, "is_fast", False):
            raise SettingsError(
                "long_texts='mean' needs to know where tokens are in a text, and the tokenizer of "
                f"{self.model} does not tell; use long_texts='truncate'."
            )
        room = limit - tokenizer.num_special_tokens_to_add() - self._prompt_tokens(tokenizer)
        if room < 1:
            raise SettingsError(
                f"no token of a text fits into {limit} beside the marks of begin and end and the "
                "prompt; raise max_length, or shorten the prompt."
            )
        windows = []
        for start in range(0, len(texts), _AT_ONCE):
            some = texts[start : start + _AT_ONCE]
            for text, spans in zip(some, _spans(tokenizer, some), strict=True):
                windows.append(windows_of(text, spans, room, lambda s: _spans(tokenizer, [s])[0]))
        return windows

    def _prompt_tokens(self, tokenizer: Any) -> int:
        model = self._loaded
        prompt = self.prompt
        if prompt is None and model.default_prompt_name is not None:
            prompt = model.prompts.get(model.default_prompt_name)
        return len(_spans(tokenizer, [prompt])[0]) if prompt else 0

    @property
    def _devices(self) -> list[str]:
        given = [self.device] if isinstance(self.device, str) else list(self.device)
        if not given:
            raise SettingsError("device=[] names no device; give one or several, or 'auto'.")
        return [chosen_device(one) for one in given]

    def _precision(self) -> str:
        return chosen_precision(self.precision, self._devices[0])

    def _measured(self) -> int:
        # Without a pool, however many devices there are.
        return int(self._loaded.encode(["a"], show_progress_bar=False).shape[1])

    def _weights(self) -> dict[str, str]:
        self._check_paths()
        folder = local(self.model)
        if folder is not None:
            return {"content": content_hash(folder)}
        name, commit = self._on_hub(self._names, self.revision)
        return {"model": name, "commit": commit}

    @property
    def _names(self) -> list[str]:
        if "/" in self.model:
            return [self.model]
        return [f"sentence-transformers/{self.model}", self.model]

    @cached_property
    def _loaded(self) -> Any:
        self._check_paths()
        devices = self._devices
        self._check_weights()
        folder = local(self.model)
        if folder is not None:
            name, revision = str(folder), self.revision
        else:
            name, revision = self._on_hub(self._names, self.revision)
        from sentence_transformers import SentenceTransformer

        with _quiet(self.progress):
            try:
                model = SentenceTransformer(
                    name, revision=revision, device=devices[0] if len(devices) == 1 else "cpu"
                )
            except MemoryError:
                raise
            except Exception as error:
                given = f"the sentence-transformers model '{self.model}'"
                raise self._not_loaded(given, error) from None
        if self.max_length is not None:
            _set_limit(model, self.max_length, self.model)
        return model.to(dtype_of(self._precision())).eval()


def windows_of(
    text: str,
    spans: Sequence[tuple[int, int]],
    room: int,
    tokenized: Callable[[str], Sequence[tuple[int, int]]],
) -> list[tuple[str, int]]:
    """Cut a text into windows of at most so many tokens, between words where there are spaces."""
    if len(spans) <= room:
        return [(text, max(1, len(spans)))]
    windows, begin, first = [], 0, 0
    while begin < len(text):
        while first < len(spans) and spans[first][0] < begin:
            first += 1
        last = _word_end(text, spans, first, room)
        while True:
            end = spans[last][0] if last < len(spans) else len(text)
            piece = text[begin:end] or text[begin : begin + 1]
            tokens = len(tokenized(piece))
            if tokens <= room or last <= first + 1:
                break
            last = max(first + 1, last - (tokens - room))
        if piece.strip():
            windows.append((piece, max(1, tokens)))
        elif windows:
            windows[-1] = (windows[-1][0] + piece, windows[-1][1])
        begin += len(piece)
    return windows


def _word_end(text: str, spans: Sequence[tuple[int, int]], first: int, room: int) -> int:
    last = first + room
    if last >= len(spans):
        return len(spans)
    for one in range(last, first + room // 2, -1):
        start = spans[one][0]
        if text[max(0, start - 1) : start + 1].strip() != text[max(0, start - 1) : start + 1]:
            return one
    return last


def _spans(tokenizer: Any, texts: list[str]) -> list[list[tuple[int, int]]]:
    found: list[list[tuple[int, int]]] = tokenizer(
        texts,
        add_special_tokens=False,
        return_offsets_mapping=True,
        return_attention_mask=False,
        truncation=False,
        padding=False,
        verbose=False,
    )["offset_mapping"]
    return found


def _limit(model: Any) -> int | None:
    limit = model.max_seq_length
    # Tokenizers without a limit have a number of thirty digits.
    return None if limit is None or limit == math.inf or limit > 10**9 else int(limit)


def _set_limit(model: Any, length: int, name: str) -> None:
    if model.max_seq_length is None or model.max_seq_length == math.inf:
        raise SettingsError(
            f"max_length={length}: {name} reads texts of any length, and can't be told to read "
            "less; leave max_length out."
        )
    network = model.transformers_model
    positions = getattr(getattr(network, "config", None), "max_position_embeddings", None)
    if isinstance(positions, int) and positions > 0:
        for part, module in network.named_modules():
            if part.endswith("position_embeddings") and getattr(module, "padding_idx", None):
                positions -= module.padding_idx + 1
        if length > positions:
            raise SettingsError(
                f"max_length={length}: {name} reads at most {positions} tokens; give no more, or "
                "long_texts='mean' to read a long text in windows."
            )
    model.max_seq_length = length


@contextmanager
def _quiet(progress: bool) -> Iterator[None]:
    """Keep transformers from drawing a bar of the weights that it loads, unless it is wanted."""
    logging: Any = import_module("transformers.utils.logging")
    before = logging.is_progress_bar_enabled()
    if not progress:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if before:
            logging.enable_progress_bar()

"""Models of sentence-transformers as encoders of texts."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, PositiveInt

from octis_m3l.encoders.batched import NetworkEncoder
from octis_m3l.encoders.pretrained import existing_path
from octis_m3l.errors import SettingsError

Span = tuple[int, int]


def _one_or_several(given: Any) -> Any:
    """Return devices joined by commas, as in a specification, as a list, but one as a text."""
    names = given
    if isinstance(given, str):
        names = [one.strip() for one in given.split(",") if one.strip()]
    return names[0] if isinstance(names, list | tuple) and len(names) == 1 else names


Several = Annotated[Sequence[str], Field(min_length=1)]
Devices = Annotated[str | Several, BeforeValidator(_one_or_several)]


class SentenceEncoder(NetworkEncoder):
    """Encodes texts with any model of sentence-transformers, which also decides on the pooling.

    For many languages there are ``sentence-transformers/paraphrase-multilingual-mpnet-base-v2``
    (50 languages, 128 tokens), ``sentence-transformers/LaBSE`` (109) and
    ``intfloat/multilingual-e5-base`` (512 tokens, with ``prompt="query: "``).

    Parameters
    ----------
    model : str
        A name on the Hugging Face Hub, or a folder.
    revision : str, optional
        A branch, tag or commit of the Hub.
    max_length : int, optional
        The number of tokens of a text, or of a window, that the model reads, special tokens
        included. Default: the model's own limit.
    long_texts : {'truncate', 'mean'}
        What to do with longer texts: 'truncate' reads the beginning; 'mean' splits the text into
        windows that do not overlap, between words where there are spaces, and averages their
        vectors, weighted by their numbers of tokens.
    prompt : str, optional
        Written before each text, or window. Default: the model's own prompt, if it has one.
    device : str or sequence of str
        As for `NetworkEncoder`. With several devices, sentence-transformers starts a process for
        each. (A script that does so needs the guard ``if __name__ == "__main__":``.)
    batch_size, precision, normalise, progress
        As for `NetworkEncoder` and `PretrainedEncoder`.

    References
    ----------
    Reimers and Gurevych (2019, 2020).
    """

    kind: ClassVar[str] = "sentence-transformers"

    revision: str | None = None
    max_length: PositiveInt | None = None
    long_texts: Literal["truncate", "mean"] = "truncate"
    prompt: str | None = None
    device: Devices = "auto"  # type: ignore[assignment]

    def __init__(self, model: str, **settings: Any) -> None:
        super().__init__(model=model, **settings)

    def _load(self) -> Any:
        from sentence_transformers import SentenceTransformer

        folder, devices = existing_path(self.model), self._devices
        with _without_bars(self.progress):
            model = SentenceTransformer(
                self._weights["model"] if folder is None else str(folder),
                revision=self._weights.get("commit"),
                device=devices[0] if len(devices) == 1 else "cpu",
            )
        if self.max_length is not None:
            _set_limit(model, self.max_length, self.model)
        return model.to(self._dtype).eval()

    def _repositories(self) -> list[str]:
        if "/" in self.model:
            return [self.model]
        return [f"sentence-transformers/{self.model}", self.model]

    def _vectors(self, items: list[str]) -> NDArray[Any]:
        if self.long_texts == "truncate":
            return self._of_short(items)
        windows = self._windows(items)
        counts = [len(of_text) for of_text in windows]
        starts = np.cumsum([0, *counts[:-1]])
        tokens = np.array([tokens for of_text in windows for _, tokens in of_text], np.float64)
        shares = tokens / np.repeat(np.add.reduceat(tokens, starts), counts)
        vectors = self._of_short([piece for of_text in windows for piece, _ in of_text])
        weighted = vectors * shares[:, None].astype(np.float32)
        return np.asarray(np.add.reduceat(weighted, starts, axis=0), np.float32)

    def _of_short(self, texts: list[str]) -> NDArray[Any]:
        several = len(self._devices) > 1 and len(texts) > 1
        return self._in_processes(texts) if several else super()._vectors(texts)

    def _run(self, items: list[str], rows: NDArray[np.int64]) -> NDArray[Any]:
        texts = [items[row] for row in rows]
        return self._encoded(texts, batch_size=len(rows), show_progress_bar=False)

    def _in_processes(self, texts: list[str]) -> NDArray[Any]:
        import torch

        size = self._first_batch
        pool = self._loaded.start_multi_process_pool(self._devices)
        options = {"show_progress_bar": self.progress, "pool": pool}
        try:
            while True:
                try:
                    return self._encoded(texts, batch_size=size, **options)
                except torch.OutOfMemoryError:
                    pass
                size = self._halved(size, " and ".join(self._devices))
        finally:
            self._loaded.stop_multi_process_pool(pool)

    def _encoded(self, texts: list[str], **options: Any) -> NDArray[Any]:
        found: NDArray[Any] = self._loaded.encode(texts, prompt=self.prompt, **options)
        return found

    def _windows(self, texts: list[str]) -> list[list[tuple[str, int]]]:
        model = self._loaded
        limit = model.max_seq_length
        # The tokenizer of a model without a limit has a number of thirty digits.
        if limit is None or limit > 10**9:
            return [[(text, 1)] for text in texts]
        tokenizer = model.tokenizer
        if not getattr(tokenizer, "is_fast", False):
            raise SettingsError(
                f"long_texts='mean' needs the positions of tokens in a text, which the tokenizer "
                f"of {self.model} does not give; use long_texts='truncate'."
            )
        prompt = self.prompt
        if prompt is None and model.default_prompt_name is not None:
            prompt = model.prompts.get(model.default_prompt_name)
        room = limit - tokenizer.num_special_tokens_to_add() - len(_spans(tokenizer, prompt or ""))
        if room < 1:
            raise SettingsError(
                f"no token of a text fits into {limit} beside the special tokens and the prompt; "
                "raise max_length, or shorten the prompt."
            )
        return [
            windows_of(text, _spans(tokenizer, text), room, lambda s: _spans(tokenizer, s))
            for text in texts
        ]


def windows_of(
    text: str, spans: Sequence[Span], room: int, tokenized: Callable[[str], Sequence[Span]]
) -> list[tuple[str, int]]:
    """Split a text into windows of at most `room` tokens, between words where there are spaces."""
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


def _word_end(text: str, spans: Sequence[Span], first: int, room: int) -> int:
    """Return the token before which a window ends: the first of a word, if one is near enough."""
    last = first + room
    if last >= len(spans):
        return len(spans)
    for one in range(last, first + room // 2, -1):
        around = text[max(0, spans[one][0] - 1) : spans[one][0] + 1]
        if around.strip() != around:
            return one
    return last


def _spans(tokenizer: Any, text: str) -> list[Span]:
    """Return where each token of a text begins and ends."""
    options = {"add_special_tokens": False, "truncation": False, "padding": False, "verbose": False}
    spans: list[Span] = tokenizer(text, return_offsets_mapping=True, **options)["offset_mapping"]
    return spans


def _set_limit(model: Any, length: int, name: str) -> None:
    if model.max_seq_length in (None, math.inf):
        raise SettingsError(
            f"max_length={length}: {name} reads texts of any length and has no such limit; leave "
            "max_length out."
        )
    network = model.transformers_model
    positions = getattr(getattr(network, "config", None), "max_position_embeddings", None) or 0
    for part, module in network.named_modules() if positions else ():
        if part.endswith("position_embeddings") and getattr(module, "padding_idx", None):
            positions -= module.padding_idx + 1
    if 0 < positions < length:
        raise SettingsError(
            f"max_length={length}: {name} reads at most {positions} tokens; give no more, or "
            "long_texts='mean' to read a long text in windows."
        )
    model.max_seq_length = length


@contextmanager
def _without_bars(progress: bool) -> Iterator[None]:
    """Keep transformers from showing progress bars while it loads weights, unless wanted."""
    logging: Any = import_module("transformers.utils.logging")
    before = logging.is_progress_bar_enabled()
    if not progress:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if before:
            logging.enable_progress_bar()

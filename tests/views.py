"""Small views made of words, and the text of an error."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from octis_m3l.data.views import ImageView, TextView
from octis_m3l.errors import DataError


def refuses(message: str, error: type[Exception] = DataError) -> Any:
    """Expect an error whose text holds a message."""
    return pytest.raises(error, match=re.escape(message))


def text_view(
    name: str, documents: Sequence[str], *, vocabulary: Sequence[str] = (), **changes: Any
) -> TextView:
    """Return a view of documents whose words are separated by spaces, all in training."""
    split = [document.split() for document in documents]
    words = tuple(vocabulary or dict.fromkeys(word for of in split for word in of) or ["unused"])
    number = {word: index for index, word in enumerate(words)}
    arguments: dict[str, Any] = {
        "sizes": (len(split), 0, 0),
        "vocabulary": words,
        "token_ids": np.array([number[word] for of in split for word in of], np.int32),
        "offsets": np.cumsum([0, *map(len, split)]).astype(np.int64),
    }
    return TextView(name=name, **(arguments | changes))


def image_view(name: str, *sizes: int, **changes: Any) -> ImageView:
    """Return pictures, whose embedding is their number unless something else is given."""
    numbers = np.arange(sum(sizes), dtype=np.float32)[:, None]
    arguments: dict[str, Any] = {"sizes": sizes, "embeddings": numbers}
    return ImageView(name=name, **(arguments | changes))

"""Where the weights of a pretrained model are, and which version of them."""

import hashlib
import re
from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path

from octis_m3l.files import sha256

_WEIGHTS = frozenset({".safetensors", ".bin", ".pt", ".pth", ".npz"})
_HASHED = _WEIGHTS | {".json", ".txt", ".model", ".spm", ".vocab"}


def existing_path(text: str | None) -> Path | None:
    """Return the file or folder of that name, or None if there is none."""
    with suppress(OSError, RuntimeError):
        if text and (path := Path(text).expanduser()).exists():
            return path
    return None


def looks_like_path(text: str) -> bool:
    """Return whether a text can only be meant as a path, not as a name."""
    begins = text.startswith((".", "~")) or Path(text).is_absolute()
    return begins or (":" not in text and text.count("/") > 1) or Path(text).suffix in _WEIGHTS


def content_hash(path: Path) -> str:
    """Return a SHA-256 of a file, or of the files of weights and settings in a folder."""
    digest = hashlib.sha256()
    for one in [path] if path.is_file() else sorted(path.rglob("*")):
        if one.is_file() and (one == path or one.suffix in _HASHED):
            name = "" if one == path else one.relative_to(path).as_posix()
            digest.update(f"{name}\0{sha256(one)}\0".encode())
    return digest.hexdigest()


def commit_on_hub(names: Sequence[str], revision: str | None) -> tuple[str, str]:
    """Return the repository and the commit of a model on the Hugging Face Hub.

    The first of the names that is in the Hub's local cache counts, at the commit found there. If
    none is, the Hub is asked.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    if revision is not None and re.fullmatch("[0-9a-f]{40}", revision) and len(names) == 1:
        return names[0], revision
    for name in names:
        with suppress(LocalEntryNotFoundError):
            cached = snapshot_download(name, revision=revision, local_files_only=True)
            return name, Path(cached).name
    for name in names[:-1]:
        # It may not exist under this name; an error about the last name is the user's.
        with suppress(Exception):
            return name, str(HfApi().model_info(name, revision=revision).sha)
    return names[-1], str(HfApi().model_info(names[-1], revision=revision).sha)


def close_names(given: str, known: Sequence[str]) -> str:
    """Return a question after names like the one given, out of too many to list them all."""
    close = get_close_matches(given, known, n=3)
    return f"did you mean {' or '.join(close)}?" if close else "is it misspelt?"

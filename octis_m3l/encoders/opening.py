"""What pretrained encoders open: packages, models, texts and pictures in batches, devices."""

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import filelock
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from octis_m3l.data.item_checks import as_items, check_characters
from octis_m3l.data.pictures import open_picture
from octis_m3l.errors import DataError, MissingDependencyError, SettingsError

if TYPE_CHECKING:
    import torch

Precision = Literal["auto", "float32", "float16", "bfloat16"]
_FIRST, _LARGEST = 32, 1024
_WEIGHTS = frozenset({".safetensors", ".bin", ".pt", ".pth", ".npz"})
_CONTENT = _WEIGHTS | {".json", ".txt", ".model", ".spm", ".vocab"}
_UNREACHABLE = frozenset(
    {"ConnectionError", "gaierror", "TimeoutError", "TransportError", "ReadTimeout"}
    | {"OfflineModeIsEnabled"}
)
_COMMIT = re.compile(r"[0-9a-f]{40}")


def required(package: str, module: str, extra: str) -> Any:
    """Import an optional package."""
    try:
        return import_module(module)
    except ImportError:
        raise MissingDependencyError(
            f"this encoder needs the package {package}, which is not installed. Install it with: "
            f'pip install "octis-m3l[{extra}]".'
        ) from None


def local(text: str | None) -> Path | None:
    """Return the file or folder that a text names, if it is there."""
    try:
        path = Path(text).expanduser() if text else None
        return path if path is not None and path.exists() else None
    except (OSError, RuntimeError):
        return None


def is_path(text: str) -> bool:
    """Return whether a text can only be meant as a path."""
    begins = text.startswith((".", "~")) or Path(text).is_absolute()
    return begins or (":" not in text and text.count("/") > 1) or Path(text).suffix in _WEIGHTS


def content_hash(path: Path) -> str:
    """Return a SHA-256 of a file, or of the files of weights and settings in a folder."""
    digest = hashlib.sha256()
    paths = [path] if path.is_file() else sorted(path.rglob("*"))
    for one in paths:
        if one.is_file() and (path.is_file() or one.suffix in _CONTENT):
            name = "" if path.is_file() else one.relative_to(path).as_posix()
            with one.open("rb") as file:
                content = hashlib.file_digest(file, "sha256")
            digest.update(f"{name}\0{content.hexdigest()}\0".encode())
    return digest.hexdigest()


def commit_on_hub(names: Sequence[str], revision: str | None) -> tuple[str, str]:
    """Return the repository and the commit of a model of the Hugging Face Hub.

    One that is in the cache is taken as it is there; else the Hub is asked.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.file_download import repo_folder_name

    is_commit = revision is not None and _COMMIT.fullmatch(revision)
    for name in names:
        folder = Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=name, repo_type="model"))
        reference = folder / "refs" / (revision or "main")
        if is_commit and (len(names) == 1 or folder.is_dir()):
            return name, str(revision)
        if reference.is_file():
            return name, reference.read_text(encoding="utf-8").strip()
    for name in names:
        try:
            return name, str(HfApi().model_info(name, revision=revision).sha)
        except Exception:
            if name == names[-1]:
                raise
    raise ValueError("no name of a repository was given")


def no_network(error: BaseException | None) -> bool:
    """Return whether an error, or one that it comes from, is of a network that isn't there."""
    while error is not None:
        if isinstance(error, filelock.Timeout):
            return False
        reason = getattr(error, "reason", None)
        kinds = {kind.__name__ for one in (error, reason) for kind in type(one).__mro__}
        if kinds & _UNREACHABLE:
            return True
        error = error.__cause__ or error.__context__
    return False


def checked_texts(items: Sequence[str]) -> list[str]:
    """Return the texts as a list."""
    texts = as_items(items, "texts to encode")
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"text {row} is of type {type(text).__name__}; expected a str.")
        if not text.strip():
            raise DataError(f"text {row} is empty: there is nothing to encode; leave it out.")
        check_characters(text, f"text {row}")
    return texts


def opened(items: Sequence[Any], rows: Sequence[int], transform: Callable[[Any], Any]) -> list[Any]:
    """Open some of the pictures, several at once, and do something with each."""

    def one(row: int) -> Any:
        return transform(open_picture(items[row], row))

    if len(rows) < 2:
        return [one(int(row)) for row in rows]
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1, len(rows))) as threads:
        return list(threads.map(one, map(int, rows)))


def finished(
    vectors: NDArray[Any], what: str, *, normalise: bool, precision: str = "float32"
) -> NDArray[np.float32]:
    """Return vectors as float32, of length 1 if that is wanted."""
    vectors = np.ascontiguousarray(vectors, np.float32)
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        remedy = (
            "float16 overflows in some models: pass precision='bfloat16' or 'float32'."
            if precision == "float16"
            else f"look at that {what}, and whether the model's weights are whole."
        )
        raise DataError(f"the vector of {what} {bad[0]} is not finite; {remedy}")
    if normalise:
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors = vectors / np.where(lengths > 0, lengths, 1.0)
    return np.asarray(vectors, np.float32)


def in_batches(
    order: NDArray[np.int64],
    run: Callable[[NDArray[np.int64]], NDArray[Any]],
    *,
    batch_size: int | Literal["auto"],
    device: str,
    progress: bool,
    what: str,
) -> NDArray[np.float32]:
    """Return what a network gives for all items, batch by batch.

    A batch that does not fit into the device's memory is halved, and so are those after it. With
    'auto' batches begin at 32, and on CUDA they grow while there is room.
    """
    import torch

    size = _FIRST if batch_size == "auto" else batch_size
    grows = batch_size == "auto" and device.startswith("cuda")
    if grows:
        torch.cuda.reset_peak_memory_stats(device)
    gathered: NDArray[np.float32] | None = None
    start = 0
    with tqdm(total=len(order), desc="encoding", unit=what, disable=not progress) as bar:
        while start < len(order):
            rows = order[start : start + size]
            vectors = None
            try:
                vectors = np.asarray(run(rows), np.float32)
            except torch.OutOfMemoryError:
                # Tried again below, where the exception no longer holds the tensors.
                grows = False
            if vectors is None:
                size = halved(len(rows), what, device)
                continue
            if gathered is None:
                gathered = np.empty((len(order), vectors.shape[1]), np.float32)
            gathered[rows] = vectors
            start += len(rows)
            bar.update(len(rows))
            if grows and len(rows) == size < _LARGEST and _has_room(device):
                size *= 2
    assert gathered is not None
    return gathered


def halved(size: int, what: str, device: str) -> int:
    """Return half of a batch size that was too large, with the device's memory given back."""
    import torch

    if size <= 1:
        raise SettingsError(
            f"the memory of {device} does not hold a single {what} beside the model; use another "
            "device, a smaller model or a shorter max_length."
        )
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return size // 2


def _has_room(device: str) -> bool:
    import torch

    free, _ = torch.cuda.mem_get_info(device)
    ours = torch.cuda.memory_reserved(device)
    return torch.cuda.max_memory_allocated(device) < 0.35 * (free + ours)


def chosen_precision(precision: Precision, device: str) -> str:
    """Return what a network computes in: for 'auto' float16 on CUDA, else float32."""
    if precision != "auto":
        return precision
    return "float16" if device.startswith("cuda") else "float32"


def dtype_of(precision: str) -> "torch.dtype":
    """Return torch's type of that name."""
    import torch

    return {
        "float32": torch.float32,
        "float16": torch.float16,
        "bfloat16": torch.bfloat16,
    }[precision]

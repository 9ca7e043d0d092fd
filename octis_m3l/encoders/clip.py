"""Models of open_clip as encoders of pictures, and of texts into the pictures' space."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from difflib import get_close_matches
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from octis_m3l.data.item_checks import as_items
from octis_m3l.devices import chosen_device
from octis_m3l.encoders.opening import (
    Precision,
    checked_texts,
    chosen_precision,
    content_hash,
    dtype_of,
    finished,
    in_batches,
    local,
    opened,
    required,
)
from octis_m3l.encoders.pretrained import PretrainedEncoder
from octis_m3l.encoders.strings import file_name, quoted
from octis_m3l.errors import DataError, SettingsError, suggest

_HUB, _FOLDER = "hf-hub:", "local-dir:"


@dataclass(eq=False)
class ClipEncoder(PretrainedEncoder):
    """Pictures, or texts, through one side of a model of open_clip; both sides have one space.

    For many languages there are ``xlm-roberta-base-ViT-B-32`` with ``laion5b_s13b_b90k`` and
    ``ViT-B-16-SigLIP2`` with ``webli``. Needs ``pip install "octis-m3l[images]"``.

    Parameters
    ----------
    model : str
        An architecture that open_clip knows, ``hf-hub:`` and a name on the Hugging Face Hub, or
        ``local-dir:`` and a folder. The latter two bring their weights.
    pretrained : str, optional
        Which weights of the architecture: a tag that open_clip knows, or a file. Needed for an
        architecture: open_clip itself would take random ones.
    side : {'image', 'text'}
        What is encoded. Of a text the model's context is read, mostly 77 or 64 tokens.
    batch_size : int or 'auto'
        Items read at once; 'auto': 32, on CUDA more while there is room. A batch that does not
        fit is halved.
    precision : {'auto', 'float32', 'float16', 'bfloat16'}
        What is computed in; 'auto': float16 on CUDA, float32 elsewhere.
    device : str
        'auto': CUDA where there is one.
    normalise : bool
        Whether to divide each vector by its length.
    progress : bool
        Whether to show a progress bar.

    References
    ----------
    Radford et al. (2021); Cherti et al. (2023).
    """

    kind: ClassVar[str] = "open-clip"
    schemes: ClassVar[tuple[str, ...]] = ("open-clip", "open-clip-text")
    paths: ClassVar[tuple[str, ...]] = ("pretrained",)
    _in_target: ClassVar[frozenset[str]] = frozenset({"model", "pretrained", "side", "progress"})

    model: str
    pretrained: str | None = None
    _: KW_ONLY
    side: Literal["image", "text"]
    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    precision: Precision = "auto"
    device: str = "auto"
    normalise: bool = True
    progress: bool = False

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        if self.model.startswith((_HUB, _FOLDER)):
            if self.pretrained is not None:
                raise SettingsError(
                    f"pretrained='{self.pretrained}': {self.model} brings its own weights; leave "
                    "pretrained out."
                )
            if self.model.startswith(_FOLDER):
                folder = Path(self.model.removeprefix(_FOLDER)).expanduser().absolute()
                self.model = f"{_FOLDER}{folder}"
            return
        # As open_clip itself reads ViT-B/32.
        self.model = self.model.replace("/", "-")
        if self.pretrained is None:
            raise SettingsError(
                f"{self.model} without pretrained would have random weights; give a tag of "
                "open_clip, such as 'openai' or 'laion2b_s34b_b79k', or a file of weights."
            )

    @property
    def reads(self) -> Literal["text", "picture"]:
        """What is encoded."""
        return "text" if self.side == "text" else "picture"

    @property
    def name(self) -> str:
        """What the encoder is called: fit for the name of a file."""
        which = "-text" if self.side == "text" else ""
        weights = f"-{Path(self.pretrained).stem}" if self.pretrained else ""
        return file_name(f"{Path(self.model.removeprefix(_HUB)).name}{weights}{which}")

    def _target(self) -> str:
        weights = f"/{self.pretrained}" if self.pretrained else ""
        return f"{self.schemes[self.side == 'text']}:{quoted(self.model + weights, '?')}"

    @classmethod
    def from_target(cls, scheme: str, target: str) -> dict[str, Any]:
        """Return the settings that the part of a specification before '?' says.

        Parameters
        ----------
        scheme, target : str
            Before and after the first colon.
        """
        target = unquote(target)
        model, pretrained = target, None
        if not target.startswith((_HUB, _FOLDER)):
            model, _, weights = target.partition("/")
            pretrained = weights or None
        side = cls.schemes.index(scheme)
        return {"model": model, "pretrained": pretrained, "side": ("image", "text")[side]}

    def encode(self, items: Sequence[Any]) -> NDArray[np.float32]:
        """Return the items' vectors (items × dimensions).

        Parameters
        ----------
        items : sequence of path, PIL image or array of uint8; or of str, for the side 'text'
            The pictures (`octis_m3l.data.pictures` says how they are opened), or the texts.

        Raises
        ------
        DataError
            If one can't be opened or is empty, the model can't be loaded, or a vector is not
            finite.
        MissingDependencyError
            If open_clip is not installed.
        """
        what = "picture" if self.side == "image" else "text"
        items = (
            as_items(items, "pictures to encode") if self.side == "image" else checked_texts(items)
        )
        if not items:
            return np.zeros((0, self.dimensions), np.float32)
        vectors = in_batches(
            np.arange(len(items)),
            lambda rows: self._run(items, rows),
            batch_size=self.batch_size,
            device=chosen_device(self.device),
            progress=self.progress,
            what=what,
        )
        self._dimensions = int(vectors.shape[1])
        return finished(vectors, what, normalise=self.normalise, precision=self._precision())

    def _run(self, items: Sequence[Any], rows: NDArray[np.int64]) -> NDArray[Any]:
        import torch

        network, transform, tokenizer = self._loaded
        device = chosen_device(self.device)
        with torch.inference_mode():
            if self.side == "image":
                pictures = torch.stack(opened(items, rows.tolist(), transform))
                found = network.encode_image(pictures.to(device, dtype_of(self._precision())))
            else:
                found = network.encode_text(tokenizer([items[row] for row in rows]).to(device))
        vectors: NDArray[Any] = found.float().cpu().numpy()
        return vectors

    def _precision(self) -> str:
        return chosen_precision(self.precision, chosen_device(self.device))

    def _measured(self) -> int:
        blank: Any = np.zeros((8, 8, 3), np.uint8) if self.side == "image" else "a"
        return int(self._run([blank], np.zeros(1, np.int64)).shape[1])

    def _weights(self) -> dict[str, str]:
        if self.model.startswith(_FOLDER):
            return {"content": content_hash(self._folder())}
        if self.model.startswith(_HUB):
            name, commit = self._on_hub([self.model.removeprefix(_HUB)], None)
            return {"model": name, "commit": commit}
        self._check_paths()
        weights = local(self.pretrained)
        if weights is not None:
            return {"model": self.model, "content": content_hash(weights)}
        tag = self._tag()
        known = {"model": self.model, "pretrained": str(self.pretrained)}
        if tag.get("hf_hub"):
            name, commit = self._on_hub([tag["hf_hub"].rsplit("/", 1)[0]], None)
            return {**known, "repository": name, "commit": commit}
        return {**known, "url": str(tag.get("url", ""))}

    def _places(self) -> tuple[str, ...]:
        return (*self.paths, "model") if self.model.startswith(_FOLDER) else self.paths

    def _called(self, repository: str) -> str:
        weights = f" with pretrained='{self.pretrained}'" if self.pretrained else ""
        return f"the open_clip model '{self.model}'{weights}"

    def _folder(self) -> Path:
        path = self.model.removeprefix(_FOLDER)
        folder = local(path)
        if folder is None:
            raise self._not_loaded(f"the open_clip model '{self.model}'", "there is no such folder")
        return folder

    def _tag(self) -> dict[str, Any]:
        """Return what open_clip knows of the pretrained weights; nothing, of a file."""
        open_clip = required("open-clip-torch", "open_clip", "images")
        if open_clip.get_model_config(self.model) is None:
            close = get_close_matches(self.model, open_clip.list_models(), n=3)
            hint = f"did you mean {' or '.join(close)}?" if close else ""
            raise SettingsError(
                f"unknown architecture '{self.model}'; {hint or 'misspelt?'} "
                "open_clip.list_models() lists them."
            )
        self._check_paths()
        if local(self.pretrained) is not None:
            return {}
        given = str(self.pretrained)
        tag: dict[str, Any] = open_clip.get_pretrained_cfg(self.model, given)
        if not tag:
            tags = open_clip.list_pretrained_tags_by_model(self.model)
            raise SettingsError(
                f"pretrained='{given}' is no file, and no tag of {self.model}."
                f"{suggest(given, tags)}"
            )
        return tag

    def _at_commit(self, tag: Mapping[str, Any]) -> tuple[str, str | None]:
        """Return the model and its weights as open_clip takes them: of the Hub, files of a commit.

        By a name open_clip would take whatever is newest, and not what the fingerprint tells.
        """
        hub = required("open-clip-torch", "open_clip.pretrained", "images")
        file = local(self.pretrained)
        if file is not None:
            return self.model, str(file)
        if self.model.startswith(_HUB):
            name, commit = self._on_hub([self.model.removeprefix(_HUB)], None)
            download = partial(hub.download_pretrained_from_hf, name, revision=commit)
            settings = download(filename="open_clip_config.json")
            download()
            return f"{_FOLDER}{Path(settings).parent}", None
        if tag.get("hf_hub"):
            repository, _, name = tag["hf_hub"].rpartition("/")
            repository, commit = self._on_hub([repository], None)
            file = hub.download_pretrained_from_hf(repository, name or None, revision=commit)
            return self.model, str(file)
        return self.model, self.pretrained

    @cached_property
    def _loaded(self) -> tuple[Any, Any, Any]:
        open_clip = required("open-clip-torch", "open_clip", "images")
        tag = {} if self.model.startswith((_HUB, _FOLDER)) else self._tag()
        if self.model.startswith(_FOLDER):
            self._folder()
        self._check_weights()
        try:
            model, weights = self._at_commit(tag)
            if weights is not None and Path(weights).exists():
                _check_safe(Path(weights))
            network, transform = open_clip.create_model_from_pretrained(
                model,
                weights,
                device=chosen_device(self.device),
                # Otherwise open_clip only warns, and OpenAI's weights give other vectors.
                force_quick_gelu=bool(tag.get("quick_gelu", False)),
                # It knows these of a tag, and not of the file that the tag stands for.
                image_mean=tag.get("mean"),
                image_std=tag.get("std"),
                image_interpolation=tag.get("interpolation"),
                image_resize_mode=tag.get("resize_mode"),
                weights_only=True,
            )
            tokenizer = _tokenizer(open_clip, self.model) if self.side == "text" else None
        except (MemoryError, DataError, SettingsError):
            raise
        except Exception as error:
            raise self._not_loaded(self._called(self.model), error) from None
        return network.to(dtype_of(self._precision())).eval(), transform, tokenizer


def _tokenizer(open_clip: Any, model: str) -> Any:
    """Return a model's tokenizer; its settings could ask transformers to run the model's code."""
    text = (open_clip.get_model_config(model) or {}).get("text_cfg", {})
    of_transformers = {"trust_remote_code": False} if text.get("hf_tokenizer_name") else {}
    return open_clip.get_tokenizer(model, **of_transformers)


def _check_safe(weights: Path) -> None:
    """Refuse a file that could run code: open_clip would fall back on reading it."""
    if weights.suffix in (".safetensors", ".npz", ".npy"):
        return
    import torch

    try:
        torch.load(weights, map_location="meta", weights_only=True)
    except Exception:
        raise DataError(
            f"{weights} holds no plain weights: it is broken, or holds code, which is not run. "
            "Give a file of safetensors."
        ) from None

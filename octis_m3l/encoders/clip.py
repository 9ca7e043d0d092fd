"""Models of open_clip as encoders of pictures, and of texts in the same space."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, model_validator

from octis_m3l.encoders.batched import NetworkEncoder
from octis_m3l.encoders.pretrained import NameOrPath, close_names, content_hash, existing_path
from octis_m3l.errors import DataError, SettingsError, import_extra, suggest

_HUB, _FOLDER = "hf-hub:", "local-dir:"
_OF_IMAGES = ("mean", "std", "interpolation", "resize_mode")


def _normalised(model: str) -> str:
    if model.startswith(_FOLDER):
        return f"{_FOLDER}{Path(model.removeprefix(_FOLDER)).expanduser().absolute()}"
    # open_clip reads ViT-B/32 as ViT-B-32.
    return model if model.startswith(_HUB) else model.replace("/", "-")


class ClipEncoder(NetworkEncoder):
    """Encodes pictures, or texts, with one side of a model of open_clip, in one space.

    For many languages there are ``xlm-roberta-base-ViT-B-32`` with ``laion5b_s13b_b90k`` and
    ``ViT-B-16-SigLIP2`` with ``webli``. Needs ``pip install "octis-m3l[images]"``.

    Parameters
    ----------
    model : str
        An architecture of open_clip; or, with their own weights, ``hf-hub:`` and a name on the
        Hugging Face Hub, or ``local-dir:`` and a folder.
    pretrained : str, optional
        The weights of the architecture: a tag of open_clip, or a file. Required for an
        architecture, since open_clip itself would use random weights.
    side : {'image', 'text'}
        What is encoded. Of a text, only the model's context is read, usually 77 or 64 tokens.
    normalise : bool
        Whether to divide each vector by its length; the default is True here.
    batch_size, precision, device, progress
        As for `NetworkEncoder` and `PretrainedEncoder`.

    References
    ----------
    Radford et al. (2021); Cherti et al. (2023).
    """

    kind: ClassVar[str] = "open-clip"
    schemes: ClassVar[tuple[str, ...]] = ("open-clip", "open-clip-text")
    paths: ClassVar[tuple[str, ...]] = ("pretrained",)
    target: ClassVar[tuple[str, ...]] = ("model", "pretrained", "side")

    model: Annotated[str, AfterValidator(_normalised)]
    pretrained: NameOrPath | None = None
    side: Literal["image", "text"]
    normalise: bool = True

    def __init__(self, model: str, pretrained: str | None = None, **settings: Any) -> None:
        super().__init__(**{"model": model, "pretrained": pretrained, **settings})

    @model_validator(mode="after")
    def _check_has_weights(self) -> Self:
        if self._has_own_weights and self.pretrained is not None:
            raise ValueError(
                f"pretrained='{self.pretrained}': {self.model} has its own weights; leave "
                "pretrained out"
            )
        if not self._has_own_weights and self.pretrained is None:
            raise ValueError(
                f"{self.model} without pretrained would have random weights; give a tag of "
                "open_clip, such as 'openai' or 'laion2b_s34b_b79k', or a file of weights"
            )
        return self

    @property
    def _has_own_weights(self) -> bool:
        return self.model.startswith((_HUB, _FOLDER))

    @property
    def reads(self) -> Literal["text", "picture"]:  # type: ignore[override]
        """What is encoded."""
        return "text" if self.side == "text" else "picture"

    def _label(self) -> str:
        return super()._label().removeprefix(_HUB) + ("-text" if self.side == "text" else "")

    def _target(self) -> tuple[str, str]:
        weights = f"/{self.pretrained}" if self.pretrained else ""
        return self.schemes[self.side == "text"], self.model + weights

    @classmethod
    def from_target(cls, scheme: str, target: str) -> dict[str, Any]:
        """Return the settings that the parts of a specification around the colon stand for."""
        model, weights = unquote(target), ""
        if not model.startswith((_HUB, _FOLDER)):
            model, _, weights = model.partition("/")
        side = "text" if scheme == "open-clip-text" else "image"
        return {"model": model, "pretrained": weights or None, "side": side}

    def _run(self, items: list[Any], rows: NDArray[np.int64]) -> Any:
        network, transform, tokenizer = self._loaded
        if self.side == "image":
            return network.encode_image(self._pictures(items, rows, transform))
        return network.encode_text(tokenizer([items[row] for row in rows]).to(self._devices[0]))

    def _located_by(self) -> tuple[str, ...]:
        return (*self.paths, "model") if self.model.startswith(_FOLDER) else self.paths

    def _identify(self) -> dict[str, str]:
        if not self.model.startswith(_FOLDER):
            return super()._identify()
        folder = existing_path(self.model.removeprefix(_FOLDER))
        if folder is None:
            raise self._not_loaded(self._described(self.model), "there is no such folder")
        return {"content": content_hash(folder)}

    def _published(self) -> dict[str, str]:
        if self.model.startswith(_HUB):
            return super()._published()
        known = self._known_weights()
        tag = {"pretrained": str(self.pretrained)}
        if not known.get("hf_hub"):
            return {**tag, "url": str(known.get("url", ""))}
        name, commit = self._on_hub([known["hf_hub"].rpartition("/")[0]], None)
        return {**tag, "repository": name, "commit": commit}

    def _repositories(self) -> list[str]:
        return [self.model.removeprefix(_HUB)]

    def _known_weights(self) -> dict[str, Any]:
        """Return what open_clip knows of the weights by their tag; nothing, for other weights."""
        open_clip = import_extra("open_clip", "images", "open-clip-torch")
        if self._has_own_weights:
            return {}
        if open_clip.get_model_config(self.model) is None:
            close = close_names(self.model, open_clip.list_models())
            raise SettingsError(
                f"unknown architecture '{self.model}'; {close} open_clip.list_models() lists them."
            )
        self._check_paths()
        if existing_path(self.pretrained) is not None:
            return {}
        given = str(self.pretrained)
        known: dict[str, Any] = open_clip.get_pretrained_cfg(self.model, given)
        if not known:
            raise SettingsError(
                f"pretrained='{given}' is neither a file nor a tag of {self.model}."
                f"{suggest(given, open_clip.list_pretrained_tags_by_model(self.model))}"
            )
        return known

    def _load(self) -> tuple[Any, Any, Any]:
        open_clip = import_extra("open_clip", "images", "open-clip-torch")
        known = self._known_weights()
        model, weights = self._downloaded(known)
        if weights is not None and Path(weights).exists():
            _check_plain_weights(Path(weights))
        network, transform = open_clip.create_model_from_pretrained(
            model,
            weights,
            device=self._devices[0],
            # Otherwise open_clip only warns, and OpenAI's weights give other vectors.
            force_quick_gelu=bool(known.get("quick_gelu", False)),
            # open_clip knows these by the tag, but not by the file that the tag stands for.
            **{f"image_{name}": known.get(name) for name in _OF_IMAGES},
            weights_only=True,
        )
        tokenizer = None
        if self.side == "text":
            # Code that a model's settings may ask to run is not run.
            text = (open_clip.get_model_config(self.model) or {}).get("text_cfg", {})
            plain = {"trust_remote_code": False} if text.get("hf_tokenizer_name") else {}
            tokenizer = open_clip.get_tokenizer(self.model, **plain)
        return network.to(self._dtype).eval(), transform, tokenizer

    def _downloaded(self, known: Mapping[str, Any]) -> tuple[str, str | None]:
        """Return the model and weights for open_clip; from the Hub, the files of the commit.

        Given only a name, open_clip would load the newest commit, which may not be the one in the
        fingerprint.
        """
        hub = import_extra("open_clip.pretrained", "images", "open-clip-torch")
        download = hub.download_pretrained_from_hf
        commit = self._weights.get("commit")
        if self.model.startswith(_HUB):
            name = self._weights["model"]
            settings = download(name, filename="open_clip_config.json", revision=commit)
            download(name, revision=commit)
            return f"{_FOLDER}{Path(settings).parent}", None
        if known.get("hf_hub"):
            file = known["hf_hub"].rpartition("/")[2] or None
            return self.model, download(self._weights["repository"], file, revision=commit)
        return self.model, self.pretrained


def _check_plain_weights(weights: Path) -> None:
    """Refuse a file that could run code, since open_clip would fall back on unpickling it."""
    if weights.suffix in (".safetensors", ".npz", ".npy"):
        return
    import torch

    try:
        torch.load(weights, map_location="meta", weights_only=True)
    except Exception:
        raise DataError(
            f"{weights} does not hold plain weights: it is broken, or it contains code, which is "
            "not run. Give a file of safetensors."
        ) from None

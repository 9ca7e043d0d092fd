"""Backbones of timm as encoders of pictures."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from octis_m3l.data.item_checks import as_items
from octis_m3l.devices import chosen_device
from octis_m3l.encoders.opening import (
    Precision,
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
from octis_m3l.encoders.strings import file_name
from octis_m3l.errors import DataError, SettingsError, suggest


@dataclass(eq=False)
class TimmEncoder(PretrainedEncoder):
    """Pictures as the features that a network of timm has before its classes.

    A picture is resized, cropped and standardised as that network wants it. Needs
    ``pip install "octis-m3l[images]"``.

    Parameters
    ----------
    model : str
        A network and the tag of its weights.
    weights : str, optional
        A file of safetensors. Default: timm's own are downloaded; those in the Hugging Face Hub's
        cache are taken as they are there.
    batch_size : int or 'auto'
        Pictures read at once; 'auto': 32, on CUDA more while there is room. A batch that does not
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
    Wightman (2019), timm.
    """

    kind: ClassVar[str] = "timm"
    schemes: ClassVar[tuple[str, ...]] = ("timm",)
    reads: ClassVar[Literal["text", "picture"]] = "picture"
    paths: ClassVar[tuple[str, ...]] = ("weights",)

    model: str = "resnet50.a1_in1k"
    _: KW_ONLY
    weights: str | None = None
    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    precision: Precision = "auto"
    device: str = "auto"
    normalise: bool = False
    progress: bool = False

    @property
    def name(self) -> str:
        """What the encoder is called: fit for the name of a file."""
        weights = f"-{Path(self.weights).stem}" if self.weights else ""
        return file_name(f"{Path(self.model).name}{weights}")

    def encode(self, items: Sequence[Any]) -> NDArray[np.float32]:
        """Return the pictures' vectors (pictures × dimensions).

        Parameters
        ----------
        items : sequence of path, PIL image or array of uint8
            The pictures; `octis_m3l.data.pictures` says how they are opened.

        Raises
        ------
        DataError
            If one can't be opened, the model can't be loaded, or a vector is not finite.
        MissingDependencyError
            If timm is not installed.
        """
        items = as_items(items, "pictures to encode")
        if not items:
            return np.zeros((0, self.dimensions), np.float32)
        vectors = in_batches(
            np.arange(len(items)),
            lambda rows: self._run(items, rows),
            batch_size=self.batch_size,
            device=chosen_device(self.device),
            progress=self.progress,
            what="picture",
        )
        self._dimensions = int(vectors.shape[1])
        return finished(vectors, "picture", normalise=self.normalise, precision=self._precision())

    def _run(self, items: Sequence[Any], rows: NDArray[np.int64]) -> NDArray[Any]:
        import torch

        network, transform = self._loaded
        with torch.inference_mode():
            pictures = torch.stack(opened(items, rows.tolist(), transform))
            where = chosen_device(self.device), dtype_of(self._precision())
            vectors: NDArray[Any] = network(pictures.to(*where)).float().cpu().numpy()
        return vectors

    def _precision(self) -> str:
        return chosen_precision(self.precision, chosen_device(self.device))

    def _measured(self) -> int:
        return int(self._run([np.zeros((8, 8, 3), np.uint8)], np.zeros(1, np.int64)).shape[1])

    def _weights(self) -> dict[str, str]:
        self._check_paths()
        weights = local(self.weights)
        if weights is not None:
            return {"model": self.model, "content": content_hash(weights)}
        return {
            "model": self.model,
            **dict(zip(("repository", "commit"), self._source(), strict=True)),
        }

    def _source(self) -> tuple[str, str]:
        timm = required("timm", "timm", "images")
        _check_known(timm, self.model, self.weights is not None)
        known = timm.models.get_pretrained_cfg(self.model)
        if not known.hf_hub_id:
            return str(known.url), ""
        return self._on_hub([known.hf_hub_id], None)

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        timm = required("timm", "timm", "images")
        _check_known(timm, self.model, self.weights is not None)
        self._check_weights()
        weights = local(self.weights)
        overlay = None
        if weights is None:
            repository, commit = self._source()
            overlay = {"hf_hub_id": f"{repository}@{commit}"} if commit else None
        try:
            network = timm.create_model(
                self.model,
                pretrained=weights is None,
                pretrained_cfg_overlay=overlay,
                num_classes=0,
            )
            if weights is not None:
                _read(network, weights)
            settings = timm.data.resolve_model_data_config(network)
            transform = timm.data.create_transform(**settings, is_training=False)
        except (MemoryError, DataError):
            raise
        except Exception as error:
            given = f"the weights {weights} of" if weights else "the"
            raise self._not_loaded(f"{given} timm model '{self.model}'", error) from None
        where = chosen_device(self.device), dtype_of(self._precision())
        return network.to(*where).eval(), transform


def _check_known(timm: Any, model: str, weights_given: bool) -> None:
    if ":" in model:
        raise SettingsError(f"'{model}': give a network that timm knows, not where it lies.")
    network, _, tag = model.partition(".")
    if not timm.is_model(network):
        close = get_close_matches(network, timm.list_models(), n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else "misspelt?"
        raise SettingsError(f"unknown network '{network}'; {hint} timm.list_models() lists them.")
    tags = [one.partition(".")[2] for one in timm.list_pretrained(f"{network}.*")]
    if (tag and tag not in tags) or not (tag or tags or weights_given):
        which = f" '{tag}'" if tag else ""
        raise SettingsError(
            f"timm has no weights{which} of {network}.{suggest(tag, tags)} For a file of yours: "
            f"TimmEncoder('{network}', weights=…)."
        )


def _read(network: Any, weights: Path) -> None:
    from safetensors.torch import load_file

    tensors = load_file(weights)
    classes = network.default_cfg.get("classifier") or ()
    classes = (classes,) if isinstance(classes, str) else tuple(classes)
    own = network.state_dict()
    for name in [n for n in tensors if n.rpartition(".")[0] in classes and n not in own]:
        del tensors[name]
    wrong = sorted({*tensors} ^ {*own}) or [n for n in own if own[n].shape != tensors[n].shape]
    if wrong:
        raise DataError(
            f"{weights} holds weights of another network: {', '.join(wrong[:3])} "
            f"{'is' if len(wrong) == 1 else 'are'} missing, too much or of another shape."
        )
    network.load_state_dict(tensors)

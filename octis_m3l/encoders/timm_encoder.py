"""Networks of timm as encoders of pictures."""

from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from octis_m3l.encoders.batched import NetworkEncoder
from octis_m3l.encoders.pretrained import NameOrPath, close_names, existing_path
from octis_m3l.errors import DataError, SettingsError, import_extra, suggest


class TimmEncoder(NetworkEncoder):
    """Encodes a picture as the features that a network of timm computes before its classifier.

    Pictures are resized, cropped and standardised as the network expects. Needs
    ``pip install "octis-m3l[images]"``.

    Parameters
    ----------
    model : str
        A network and the tag of its weights.
    weights : str, optional
        A file of safetensors. Default: timm's own weights, which are downloaded unless they are in
        the Hugging Face Hub's local cache.
    batch_size, precision, device, normalise, progress
        As for `NetworkEncoder` and `PretrainedEncoder`.

    References
    ----------
    Wightman (2019), timm.
    """

    kind: ClassVar[str] = "timm"
    reads: ClassVar[Literal["text", "picture"]] = "picture"
    paths: ClassVar[tuple[str, ...]] = ("weights",)

    model: str = "resnet50.a1_in1k"
    weights: NameOrPath | None = None

    def __init__(self, model: str = "resnet50.a1_in1k", **settings: Any) -> None:
        super().__init__(model=model, **settings)

    def _run(self, items: list[Any], rows: NDArray[np.int64]) -> Any:
        network, transform = self._loaded
        return network(self._pictures(items, rows, transform))

    def _published(self) -> dict[str, str]:
        known = self._checked_timm().models.get_pretrained_cfg(self.model)
        if not known.hf_hub_id:
            return {"repository": str(known.url), "commit": ""}
        repository, commit = self._on_hub([known.hf_hub_id], None)
        return {"repository": repository, "commit": commit}

    def _load(self) -> tuple[Any, Any]:
        timm = self._checked_timm()
        weights = existing_path(self.weights)
        commit = self._weights.get("commit")
        source = {"hf_hub_id": f"{self._weights['repository']}@{commit}"} if commit else None
        network = timm.create_model(
            self.model, pretrained=weights is None, pretrained_cfg_overlay=source, num_classes=0
        )
        if weights is not None:
            _read_weights(network, weights)
        settings = timm.data.resolve_model_data_config(network)
        transform = timm.data.create_transform(**settings, is_training=False)
        return network.to(self._devices[0], self._dtype).eval(), transform

    def _checked_timm(self) -> Any:
        """Import timm, and refuse a network or a tag that it does not know."""
        timm = import_extra("timm", "images")
        if ":" in self.model:
            raise SettingsError(f"'{self.model}': give a network that timm knows, not its address.")
        network, _, tag = self.model.partition(".")
        if not timm.is_model(network):
            raise SettingsError(
                f"unknown network '{network}'; {close_names(network, timm.list_models())} "
                "timm.list_models() lists them."
            )
        tags = [one.partition(".")[2] for one in timm.list_pretrained(f"{network}.*")]
        if (tag and tag not in tags) or not (tag or tags or self.weights):
            raise SettingsError(
                f"timm has no weights '{tag}' of {network}.{suggest(tag, tags)} For a file of your "
                f"own: TimmEncoder('{network}', weights=…)."
            )
        return timm


def _read_weights(network: Any, weights: Path) -> None:
    """Read a file of safetensors into a network, except its classifier."""
    from safetensors.torch import load_file

    tensors, own = load_file(weights), network.state_dict()
    classifier = network.default_cfg.get("classifier") or ()
    names = [classifier] if isinstance(classifier, str) else classifier
    found = {n: t for n, t in tensors.items() if n in own or n.rpartition(".")[0] not in names}
    wrong = sorted({*found} ^ {*own}) or [n for n in own if own[n].shape != found[n].shape]
    if wrong:
        raise DataError(
            f"{weights} holds weights of another network: {', '.join(wrong[:3])} "
            f"{'is' if len(wrong) == 1 else 'are'} missing, superfluous or of another shape."
        )
    network.load_state_dict(found)

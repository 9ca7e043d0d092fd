"""Views of a data set's folder through encoders, from the command line."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from octis_m3l.data import MultiviewDataset
from octis_m3l.data.folder import read_folder, write_embeddings
from octis_m3l.data.folder.manifest import MANIFEST, read_manifest
from octis_m3l.data.folder.reading import ANY
from octis_m3l.encoders.cache import EmbeddingCache
from octis_m3l.encoders.embedding import embed
from octis_m3l.encoders.naming import embedding_name
from octis_m3l.encoders.protocol import Encoder
from octis_m3l.encoders.specification import encoder_from
from octis_m3l.errors import DataError, SettingsError, suggest
from octis_m3l.files import check_can_create

FITTED = ("lsa", "clsi", "word-vectors")


def encoders_of(
    dataset: MultiviewDataset, given: Mapping[str, str], device: str | None
) -> dict[str, Encoder]:
    """Return an encoder for each view; views with the same words share one."""
    wanted: dict[str, str] = {}
    for name, words in given.items():
        kinds: dict[str, Any] = {"texts": dataset.text_views, "images": dataset.image_views}
        of_kind = kinds.get(name, {}) if name not in dataset.views else {}
        if not of_kind and name not in dataset.views:
            known = [*dataset.views, *(kind for kind, views in kinds.items() if views)]
            raise SettingsError(f"unknown view '{name}'.{suggest(name, known)}")
        for view in of_kind or [name]:
            if view not in given or view == name:
                wanted[view] = words
    check_encoders(wanted.values())
    made: dict[str, Encoder] = {}
    for words in wanted.values():
        if words not in made:
            made[words] = encoder_from(words)
            if device is not None and getattr(made[words], "device", None) == "auto":
                several = [one.strip() for one in device.split(",")]
                made[words] = encoder_from(
                    words, device=several[0] if len(several) == 1 else several
                )
    return {view: made[words] for view, words in wanted.items()}


def check_encoders(given: Iterable[str]) -> None:
    """Refuse strings that name no encoder, before anything is read for them."""
    for words in given:
        if words in FITTED:
            raise SettingsError(
                f"'{words}' is fitted on the training items when a model is trained: give it to "
                f"train, --set encoder={words}."
            )
        encoder_from(words)


def encode_folder(
    folder: Path,
    given: Mapping[str, str],
    *,
    device: str | None,
    cache: EmbeddingCache | str | Path | None,
    replace: bool,
    progress: bool,
) -> dict[str, Any]:
    """Encode views of a saved data set, and write their embeddings into its folder."""
    dataset = read_folder(folder, embeddings=ANY)
    check_can_create(folder / MANIFEST)
    encoders = encoders_of(dataset, given, device)
    embedded = embed(dataset, encoders, cache=cache, progress=progress)
    told = {}
    for name, encoder in encoders.items():
        view = embedded.view(name)
        if view.embeddings is None:
            raise DataError(f"view '{name}' has no embeddings after encoding.")
        write_embeddings(
            folder,
            name,
            view.embeddings,
            view.embedding_name,
            {"encoder": encoder.name},
            encoder=view.embedding_encoder,
            replace=replace,
        )
        kept = read_manifest(folder).embedding_names(name)
        told[name] = {
            "embeddings": embedding_name(encoder),
            "items": len(view),
            "dimensions": encoder.dimensions,
            "encoder": encoder.name,
            "stored": kept,
        }
    return told

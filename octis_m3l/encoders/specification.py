"""Encoders named by strings, for the command line and YAML."""

from collections.abc import Mapping
from types import NoneType
from typing import Any, get_args
from urllib.parse import unquote

from pydantic import TypeAdapter, ValidationError

from octis_m3l.encoders.base import ENCODERS, Encoder
from octis_m3l.errors import SettingsError, check_known
from octis_m3l.validation import reasons

_FITTED = ("lsa", "clsi", "use+clsi", "word-vectors")


def encoder_from(text: str, **options: Any) -> Encoder:
    """Return the encoder that a string describes, for the command line and YAML.

    ``sentence-transformers:NAME``, ``model2vec:NAME``, ``timm:NAME``, ``open-clip:ARCH/PRETRAINED``
    for images and ``open-clip-text:ARCH/PRETRAINED`` for texts, ``use``, ``e5`` or ``picture``.
    NAME is a model or a local path; an encoder with a default model needs none. Options follow
    after ``?``, as ``key=value`` joined by ``&``: ``timm:NAME?batch_size=64&normalise=true``. In a
    name, ``?`` is written ``%3F``; in a value, ``&`` is written ``%26``; and ``%`` is ``%25`` in
    both.

    Parameters
    ----------
    text : str
        The specification, as in ``encoder.specification``.
    **options
        Settings of the encoder, which take precedence over those in the text.
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
    check_known(scheme, schemes, "encoder", SettingsError)
    encoder_class = schemes[scheme]
    fields = getattr(encoder_class, "model_fields", {})
    if not fields and (colon or after or options):
        raise SettingsError(f"'{text}': the encoder '{scheme}' has neither names nor options.")
    if fields and not target and fields["model"].is_required():
        raise SettingsError(f"'{text}' names no model; expected {scheme}:NAME.")
    settings = encoder_class.from_target(scheme, target) if target else {}
    known = [name for name in fields if name not in settings]
    written = {}
    for part in filter(None, after.split("&")):
        name, equals, written[name] = part.partition("=")
        if not equals:
            raise SettingsError(f"option '{name}' has no value; write {name}=VALUE.")
    for name in (*written, *options):
        check_known(name, known, "option", SettingsError)
    settings |= {name: _read(name, fields[name], value) for name, value in written.items()}
    encoder: Encoder = encoder_class(**settings | options)
    return encoder


def _read(name: str, field: Any, text: str) -> Any:
    """Return a setting from its text after '?'."""
    if text == "none" and NoneType in get_args(field.annotation):
        return None
    try:
        return TypeAdapter(field.rebuild_annotation()).validate_strings(unquote(text))
    except ValidationError as error:
        raise SettingsError(f"{name}={text}: {reasons(error)}.") from None


def specified(scheme: str, target: str, options: Mapping[str, Any]) -> str:
    """Return the string from which `encoder_from` makes an encoder."""
    text = f"{scheme}:{_quoted(target, '?')}"
    written = "&".join(f"{name}={_written(value)}" for name, value in options.items())
    return f"{text}?{written}" if written else text


def _written(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        return ",".join(value)
    text = _quoted(str(value).lower() if isinstance(value, bool) else str(value), "&")
    return "%6Eone" if text == "none" else text


def _quoted(text: str, special: str) -> str:
    """Return a text with '%' and one special character written as in a URL."""
    return text.replace("%", "%25").replace(special, f"%{ord(special):02X}")

"""The catalogue of public data sets."""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from octis_m3l.errors import SettingsError, suggest
from octis_m3l.sources.huggingface import SCHEME, huggingface_source
from octis_m3l.sources.source import Source


@cache
def sources() -> dict[str, Source]:
    """Return the public data sets by name: each `Source` at the top level of a file beside this."""
    package = __name__.rpartition(".")[0]
    modules = [
        import_module(f"{package}.{module.name}")
        for module in iter_modules(import_module(package).__path__)
    ]
    found = {
        value.name: value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, Source)
    }
    return dict(sorted(found.items()))


def source_of(name: str) -> Source:
    """Return a public data set, or one of the Hugging Face hub (``huggingface:OWNER/NAME``)."""
    if name.startswith(SCHEME):
        return huggingface_source(name)
    known = name.lower().replace("_", "-")
    if known not in sources():
        raise SettingsError(
            f"unknown data set '{name}'.{suggest(known, sources())} Data sets of the Hugging Face "
            "hub are called huggingface:NAME."
        )
    return sources()[known]

"""The catalogue of public data sets."""

from functools import cache
from importlib import import_module
from pathlib import Path

from octis_m3l.errors import SettingsError, suggest
from octis_m3l.sources.huggingface import SCHEME, huggingface_source
from octis_m3l.sources.source import Source


@cache
def sources() -> dict[str, Source]:
    """Return the public data sets by name: each `Source` at the top level of a file beside this."""
    modules = [
        import_module(f"{__package__}.{path.stem}") for path in Path(__file__).parent.glob("*.py")
    ]
    listed = [value for module in modules for value in vars(module).values()]
    found = {source.name: source for source in listed if isinstance(source, Source)}
    return dict(sorted(found.items()))


def source_of(name: str | Source) -> Source:
    """Return a public data set, or one of the Hugging Face hub (``huggingface:OWNER/NAME``)."""
    if isinstance(name, Source):
        return name
    if name.startswith(SCHEME):
        return huggingface_source(name)
    known = name.lower().replace("_", "-")
    if known not in sources():
        raise SettingsError(
            f"unknown data set '{name}'.{suggest(known, sources())} Data sets of the Hugging Face "
            "hub are called huggingface:NAME."
        )
    return sources()[known]

"""The catalogue of public data sets."""

from octis_m3l.errors import SettingsError, suggest
from octis_m3l.sources.bible_passages import BIBLE_SOURCE
from octis_m3l.sources.cross_lingual_bags import (
    AMAZON_REVIEW_SOURCE,
    ECNEWS_SOURCE,
    RAKUTEN_AMAZON_SOURCE,
)
from octis_m3l.sources.huggingface import SCHEME, huggingface_source
from octis_m3l.sources.octis_corpora import OCTIS_SOURCES
from octis_m3l.sources.source import Source
from octis_m3l.sources.storybooks import STORYBOOKS_SOURCE
from octis_m3l.sources.wikipedia_m3l import WIKIPEDIA_M3L_SOURCE

SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        WIKIPEDIA_M3L_SOURCE,
        BIBLE_SOURCE,
        STORYBOOKS_SOURCE,
        ECNEWS_SOURCE,
        AMAZON_REVIEW_SOURCE,
        RAKUTEN_AMAZON_SOURCE,
        *OCTIS_SOURCES,
    )
}
"""Public data sets by name; any of the Hugging Face hub besides, see `source_of`."""


def source_of(name: str) -> Source:
    """Return a public data set."""
    if name.startswith(SCHEME):
        return huggingface_source(name)
    known = name.lower().replace("_", "-")
    if known not in SOURCES:
        raise SettingsError(
            f"unknown data set '{name}'.{suggest(known, SOURCES)} Any of the Hugging Face hub is "
            "called huggingface:NAME."
        )
    return SOURCES[known]

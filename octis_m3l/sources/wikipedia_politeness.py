"""What Wikimedia asks of programs: to say whom to write to, and to ask slowly."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from octis_m3l.errors import SettingsError
from octis_m3l.sources.fetching import CONTACT, Fetcher, user_agent_of
from octis_m3l.sources.wikipedia_titles import WikipediaEndpoints

DELAY = 0.5
_WIKIMEDIA = (".wikipedia.org", ".wikimedia.org")


@contextmanager
def polite(fetcher: Fetcher | None, endpoints: WikipediaEndpoints) -> Iterator[Fetcher]:
    """Give who asks: where Wikimedia is asked, with a contact, and half a second apart or more."""
    asker = fetcher or Fetcher(delay=DELAY)
    if not _asks_wikimedia(endpoints):
        yield asker
        return
    if not os.environ.get(CONTACT, "").strip() and asker.user_agent == user_agent_of():
        raise SettingsError(
            f"Wikimedia asks programs to say whom to write to: set {CONTACT} to your e-mail "
            "address (it is sent to its servers), or pass fetcher=Fetcher(contact=...)."
        )
    hosts = asker.hosts
    before = hosts.delay
    hosts.delay = max(before, DELAY)
    try:
        yield asker
    finally:
        hosts.delay = before


def _asks_wikimedia(endpoints: WikipediaEndpoints) -> bool:
    addresses = (endpoints.api.format(language="en"), endpoints.pictures)
    return any(str(urlsplit(address).hostname).endswith(_WIKIMEDIA) for address in addresses)

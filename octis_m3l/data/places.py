"""Where downloads and embeddings are kept between runs."""

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """Return the folder of all that can be made again: ``OCTIS_M3L_CACHE``, or the user's own."""
    given = os.environ.get("OCTIS_M3L_CACHE")
    return Path(given).expanduser() if given else Path(platformdirs.user_cache_dir("octis-m3l"))

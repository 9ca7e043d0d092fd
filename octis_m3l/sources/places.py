"""Where raw files are kept."""

from pathlib import Path

from octis_m3l import files


def cache_folder() -> Path:
    """Return the folder that public data sets are fetched to.

    ``datasets`` in ``OCTIS_M3L_CACHE`` if the environment has it, else in the folder of the system
    for a user's caches (``~/.cache/octis-m3l`` on Linux).
    """
    return files.cache_folder() / "datasets"

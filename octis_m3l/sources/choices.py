"""What a user may choose when a data set is built."""

from collections.abc import Collection, Sequence

from octis_m3l.errors import DataError, suggest


def chosen_views(wanted: Sequence[str] | None, known: Collection[str]) -> list[str]:
    """Return the views to build, in the order in which the set has them."""
    for name in wanted or ():
        if name not in known:
            raise DataError(f"there is no view '{name}'.{suggest(name, known)}")
    return [name for name in known if wanted is None or name in wanted]

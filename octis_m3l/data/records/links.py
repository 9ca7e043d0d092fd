"""Links from records: all items of a group are tied together."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from octis_m3l.data.links import MISSING
from octis_m3l.data.records.reading import Records


def record_links(records: Records, places: Mapping[str, NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return link rows that tie the items of each group of records."""
    rows: list[list[int]] = []
    for group in pd.Series(range(records.count)).groupby(records.members):
        cells = [
            list(
                dict.fromkeys(
                    int(stored[item])
                    for record in group[1]
                    for item in records.columns[name].cells[record]
                    if stored[item] >= 0
                )
            )
            for name, stored in places.items()
        ]
        rows.extend(_tied(cells))
    links = np.array(rows, np.int64).reshape(-1, len(places))
    return links[np.argsort(links[:, 0], kind="stable")] if len(links) else links


def _tied(cells: list[list[int]]) -> list[list[int]]:
    """Return link rows that tie all items of one group together."""
    filled = [column for column, cell in enumerate(cells) if cell]
    rows = [
        [(cell[i] if i < len(cell) else cell[0]) if cell else MISSING for cell in cells]
        for i in range(max((len(cell) for cell in cells), default=0))
    ]
    ties: list[list[int]] = []
    for row in rows[1:]:
        if len(filled) > 1 and all(row[column] != rows[0][column] for column in filled):
            tie = [MISSING] * len(cells)
            tie[filled[0]], tie[filled[1]] = rows[0][filled[0]], row[filled[1]]
            ties.append(tie)
    return rows + ties

"""A comparison as a table: in a terminal, Markdown, LaTeX and CSV."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from rich.table import Table
from rich.text import Text

from octis_m3l.comparison.result import ALL, Comparison
from octis_m3l.comparison.statistics import Standing
from octis_m3l.files import written_whole

_LEGEND = (
    "mean ± standard deviation over runs; bold: best; †: not shown to be worse than the best "
    "(p ≥ .05)"
)
_UP, _DOWN = "↑", "↓"


def _columns(result: Comparison, by_view: bool) -> dict[str, Mapping[str, Standing]]:
    """Return each column's standings, by its title."""
    found: dict[str, Mapping[str, Standing]] = {}
    for (measure, where), standings in result.standings.items():
        if by_view if where == ALL else not by_view:
            continue
        places = [where] if where not in (ALL, "") else result.common.get(measure) or []
        title = f"{measure} ({', '.join(places)})" if places else measure
        found[f"{title} {_UP if result.higher[measure] else _DOWN}"] = standings
    return found


def _wins(columns: Mapping[str, Mapping[str, Standing]], name: str) -> int:
    return sum(name in standings and standings[name].best for standings in columns.values())


def _shown(standing: Standing | None) -> str:
    if standing is None:
        return "–"
    text = f"{standing.mean:.3f}"
    if standing.runs > 1:
        text += f" ± {standing.std:.3f}"
    return text + ("†" if standing.tied and not standing.best else "")


def comparison_table(result: Comparison, *, by_view: bool = False) -> Table:
    """Return the contenders, a row each, for a terminal.

    Parameters
    ----------
    result : Comparison
        What was found.
    by_view : bool
        Whether each view and pair of views has a column; else each measure has, with the mean over
        them.
    """
    columns = _columns(result, by_view)
    table = Table("", *columns, "best in", caption=_LEGEND)
    for name in result.names:
        cells = []
        for standings in columns.values():
            standing = standings.get(name)
            best = standing is not None and standing.best
            cells.append(Text(_shown(standing), style="bold" if best else ""))
        table.add_row(Text(name), *cells, str(_wins(columns, name)))
    return table


def comparison_markdown(result: Comparison, *, by_view: bool = False) -> str:
    """Return the same as Markdown.

    Parameters
    ----------
    result, by_view
        As for `comparison_table`.
    """
    table: str = _frame(result, by_view, "**", "**").to_markdown(disable_numparse=True)
    return f"{table}\n\n{_LEGEND}\n"


def comparison_latex(result: Comparison, *, by_view: bool = False) -> str:
    """Return the same as LaTeX, which needs the package booktabs.

    Parameters
    ----------
    result, by_view
        As for `comparison_table`.
    """
    frame = _frame(result, by_view, "\\textbf{", "}").map(_escaped)
    frame.index = frame.index.map(_escaped)
    frame.columns = frame.columns.map(_escaped)
    table: str = frame.to_latex(escape=False, column_format="l" + "r" * frame.shape[1])
    return f"{table}% {_LEGEND}\n"


def write_comparison(result: Comparison, folder: Path) -> list[Path]:
    """Write the tables beside a comparison's runs, and return the files.

    Parameters
    ----------
    result : Comparison
        What was found.
    folder : Path
        Where.
    """
    contents = {
        "table.md": comparison_markdown(result),
        "by-view.md": comparison_markdown(result, by_view=True),
        "table.tex": comparison_latex(result),
        "by-view.tex": comparison_latex(result, by_view=True),
        "standings.csv": result.frame().to_csv(index=False),
        "runs.csv": result.run_frame().to_csv(index=False),
        "items.csv": result.item_frame().to_csv(index=False),
    }
    for name, content in contents.items():
        with written_whole(folder / name) as temporary:
            temporary.write_text(content, encoding="utf-8")
    return [folder / name for name in contents]


def _frame(result: Comparison, by_view: bool, before: str, after: str) -> pd.DataFrame:
    columns = _columns(result, by_view)
    content = {
        title: [
            f"{before}{_shown(s)}{after}" if (s := standings.get(name)) and s.best else _shown(s)
            for name in result.names
        ]
        for title, standings in columns.items()
    }
    content["best in"] = [str(_wins(columns, name)) for name in result.names]
    return pd.DataFrame(content, index=result.names)


_LATEX = {
    "±": "$\\pm$",
    "†": "$^\\dagger$",
    "↑": "$\\uparrow$",
    "↓": "$\\downarrow$",
    "–": "--",
    "_": "\\_",
    "%": "\\%",
    "&": "\\&",
    "#": "\\#",
}


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)

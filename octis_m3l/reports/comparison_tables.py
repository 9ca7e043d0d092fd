"""A comparison as a table: in a terminal, Markdown, LaTeX and CSV."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pandas as pd
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.jupyter import JupyterMixin
from rich.table import Table
from rich.text import Text

from octis_m3l.comparison.result import ALL, Comparison
from octis_m3l.comparison.statistics import Standing
from octis_m3l.files import written_whole

_LEGEND = (
    "mean ± standard deviation over {runs}; bold: best; †: its distance from the best could be "
    "chance (p ≥ .05), which does not make it as good"
)
_FEW = 5
_UP, _DOWN = "↑", "↓"


def _columns(result: Comparison, by_view: bool) -> dict[str, Mapping[str, Standing]]:
    """Return each column's standings, by its title."""
    found: dict[str, Mapping[str, Standing]] = {}
    for (measure, where), standings in result.standings.items():
        if by_view if where == ALL else not by_view:
            continue
        places = [where] if by_view and where else result.common.get(measure) or []
        title = f"{measure} ({', '.join(places)})" if places else measure
        found[f"{title} {_UP if result.higher[measure] else _DOWN}"] = standings
    return found


def _wins(columns: Mapping[str, Mapping[str, Standing]], name: str) -> int:
    return sum(name in standings and standings[name].best for standings in columns.values())


def _legend(result: Comparison) -> str:
    counts = {len([r for r in result.runs if r.contender == name]) for name in result.names}
    fewest = min(counts, default=0)
    several = f"{fewest} to {max(counts)}" if len(counts) > 1 else f"{fewest}"
    said = _LEGEND.format(runs=f"{several} runs" if counts != {1} else "1 run")
    return said if fewest >= _FEW else f"{said}; with fewer than {_FEW} runs little can be shown"


def _name(result: Comparison, name: str) -> str:
    """Return a contender's name, with how many of its runs failed."""
    runs = [run for run in result.runs if run.contender == name]
    failed = sum(run.error is not None for run in runs)
    return f"{name} ({failed} of {len(runs)} failed)" if failed else name


def _shown(standing: Standing | None) -> str:
    if standing is None:
        return "–"
    text = f"{standing.mean:.3f}"
    if standing.runs > 1:
        text += f" ± {standing.std:.3f}"
    return text + ("†" if standing.tied and not standing.best else "")


class _Stacked(JupyterMixin):
    """A table whose columns come below, in a further one, where they do not fit beside."""

    def __init__(self, result: Comparison, *, by_view: bool) -> None:
        self.result = result
        self.columns = _columns(result, by_view)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        parts = list(self._parts(options.max_width))
        for titles in parts:
            last = titles is parts[-1]
            table = Table(caption=_legend(self.result) if last else None)
            table.add_column("", no_wrap=True)
            for title in titles:
                table.add_column(title, min_width=self._width(title))
            if last:
                table.add_column("best in", justify="right")
            for name in self.result.names:
                wins = [str(_wins(self.columns, name))] if last else []
                cells = (self._cell(title, name) for title in titles)
                table.add_row(Text(_name(self.result, name)), *cells, *wins)
            yield table

    def _parts(self, width: int) -> Iterator[list[str]]:
        """Yield titles of columns that fit beside each other."""
        frame = 3
        names = [cell_len(_name(self.result, name)) for name in self.result.names]
        left = max(names, default=0) + frame + len("best in") + frame + 1
        part: list[str] = []
        used = left
        for title in self.columns:
            if part and used + self._width(title) + frame > width:
                yield part
                part, used = [], left
            part.append(title)
            used += self._width(title) + frame
        yield part

    def _width(self, title: str) -> int:
        """Return how wide a column is whose cells and words of the title stay whole."""
        cells = (self._cell(title, name).plain for name in self.result.names)
        return max(cell_len(text) for text in (*cells, *title.split()))

    def _cell(self, title: str, name: str) -> Text:
        standing = self.columns[title].get(name)
        best = standing is not None and standing.best
        return Text(_shown(standing), style="bold" if best else "")


def comparison_table(result: Comparison, *, by_view: bool = False) -> JupyterMixin:
    """Return the contenders, a row each, for a terminal or notebook of any width.

    Columns that do not fit beside each other come below, in a table of their own.

    Parameters
    ----------
    result : Comparison
        What was found.
    by_view : bool
        Whether each view and pair of views has a column; else each measure has, with the mean over
        them.
    """
    return _Stacked(result, by_view=by_view)


def comparison_markdown(result: Comparison, *, by_view: bool = False) -> str:
    """Return the same as Markdown.

    Parameters
    ----------
    result, by_view
        As for `comparison_table`.
    """
    frame = _frame(result, by_view, "**{}**", lambda text: text.translate(_MARKDOWN))
    table: str = frame.to_markdown(disable_numparse=True)
    return f"{table}\n\n{_legend(result)}\n"


def comparison_latex(result: Comparison, *, by_view: bool = False) -> str:
    """Return the same as LaTeX, which needs the package booktabs.

    Parameters
    ----------
    result, by_view
        As for `comparison_table`.
    """
    frame = _frame(result, by_view, "\\textbf{{{}}}", lambda text: text.translate(_LATEX))
    table: str = frame.to_latex(escape=False, column_format="l" + "r" * frame.shape[1])
    return f"{table}% {_legend(result)}\n"


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
    }
    for name, content in contents.items():
        with written_whole(folder / name) as temporary:
            temporary.write_text(content, encoding="utf-8")
    with written_whole(folder / "items.csv") as temporary:
        temporary.write_text("contender,seed,measure,where,tuple,score\n", encoding="utf-8")
        for frame in result.item_frames():
            frame.to_csv(temporary, mode="a", header=False, index=False)
    return [folder / name for name in (*contents, "items.csv")]


def _frame(
    result: Comparison, by_view: bool, bold: str, escaped: Callable[[str], str]
) -> pd.DataFrame:
    columns = _columns(result, by_view)
    content = {}
    for title, standings in columns.items():
        cells = []
        for name in result.names:
            standing = standings.get(name)
            text = escaped(_shown(standing))
            cells.append(bold.format(text) if standing is not None and standing.best else text)
        content[escaped(title)] = cells
    content["best in"] = [str(_wins(columns, name)) for name in result.names]
    names = [escaped(_name(result, name)) for name in result.names]
    return pd.DataFrame(content, index=names)


_MARKDOWN = str.maketrans({"|": "\\|", "*": "\\*", "_": "\\_"})
_LATEX = str.maketrans(
    {
        "±": "$\\pm$",
        "†": "$^\\dagger$",
        "↑": "$\\uparrow$",
        "↓": "$\\downarrow$",
        "–": "--",
        "\\": "\\textbackslash{}",
        "^": "\\textasciicircum{}",
        "~": "\\textasciitilde{}",
        **{character: f"\\{character}" for character in "_%&#{}$"},
    }
)

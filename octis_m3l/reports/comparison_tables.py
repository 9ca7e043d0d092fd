"""A comparison as a table for terminals, Markdown, LaTeX and CSV."""

import math
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.jupyter import JupyterMixin
from rich.table import Table
from rich.text import Text

from octis_m3l.comparison.result import ALL, Comparison
from octis_m3l.comparison.statistics import Standing
from octis_m3l.errors import visible
from octis_m3l.files import written_whole
from octis_m3l.reports.tables import UAP_NOTE, same

_BEST = "the best of two or more"
_MARKS = {
    "±": "± standard deviation",
    "[": "[95 % confidence interval]",
    "†": "†: the difference from the best could be chance (p ≥ .05); it may still be worse",
    "–": "–: not measured",
    "‡": "‡: no test is possible",
}
_BEST_IN = "best in"
_COUNTED = "best in: of the measures that it shares with others"
_FEW = 5
_FRAME = 3
_UP, _DOWN = "↑", "↓"


@dataclass(frozen=True)
class _Cell:
    text: str
    won: bool = False


@dataclass(frozen=True)
class _Content(JupyterMixin):
    """Contenders as rows, measures as columns; what is too wide continues in a table below."""

    names: list[str]
    columns: dict[str, list[_Cell]]
    best_in: list[str]
    runs: str
    notes: list[str]

    def caption(self, bold: str) -> str:
        """Explain the marks in the table; `bold` is the mark of the best."""
        cells = [cell for column in self.columns.values() for cell in column]
        said = {m: text for m, text in _MARKS.items() if any(m in c.text for c in cells)}
        spread = " ".join(["mean", *(said.pop(mark) for mark in ("±", "[") if mark in said)])
        best = [f"{bold}: {_BEST}"] if any(cell.won for cell in cells) else []
        counted = [_COUNTED] if self.best_in else []
        return "; ".join(
            [f"{spread} over {self.runs}", *best, *said.values(), *counted, *self.notes]
        )

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Any]:
        parts = list(self._parts(options.max_width))
        # Files have no bold: a star marks the best.
        plain = not (console.is_terminal or console.is_jupyter)
        caption = self.caption("*" if plain else "bold")
        for titles in parts:
            last = titles is parts[-1]
            table = Table()
            table.add_column("", no_wrap=True)
            for title in titles:
                table.add_column(Text(title), min_width=self._width(title))
            counted = last and bool(self.best_in)
            if counted:
                table.add_column(_BEST_IN, justify="right")
            for row, name in enumerate(self.names):
                cells = [self.columns[title][row] for title in titles]
                styled = [
                    Text(cell.text + "*" * plain, style="bold") if cell.won else Text(cell.text)
                    for cell in cells
                ]
                best_in = [self.best_in[row]] if counted else []
                table.add_row(Text(name), *styled, *best_in)
            yield table
        yield Text(caption, style="dim italic")

    def _parts(self, width: int) -> Iterator[list[str]]:
        """Yield groups of columns that fit side by side."""
        names = max(map(cell_len, self.names), default=0)
        left = names + len(_BEST_IN) + 2 * _FRAME + 1
        part: list[str] = []
        used = left
        for title in self.columns:
            if part and used + self._width(title) + _FRAME > width:
                yield part
                part, used = [], left
            part.append(title)
            used += self._width(title) + _FRAME
        yield part

    def _width(self, title: str) -> int:
        """Return the width at which cells and words of the title are not broken."""
        cells = (f"{cell.text}*" for cell in self.columns[title])
        return max(map(cell_len, (*cells, *title.split())))


def comparison_table(
    result: Comparison, *, by_view: bool = False, intervals: bool = False
) -> JupyterMixin:
    """Return a table for a terminal or notebook of any width, with a row for each contender.

    Columns that do not fit are continued in a further table below.

    Parameters
    ----------
    result : Comparison
        The comparison.
    by_view : bool
        Show a column for each view and pair of views, instead of the mean over them.
    intervals : bool
        Show 95 % confidence intervals, instead of standard deviations over runs.
    """
    return _content(result, by_view, intervals)


def comparison_markdown(
    result: Comparison, *, by_view: bool = False, intervals: bool = False
) -> str:
    """Return the same as Markdown."""
    content = _content(result, by_view, intervals)
    frame = _frame(content, "**{}**", _markdown)
    table: str = frame.to_markdown(disable_numparse=True)
    return f"{table}\n\n{_markdown(_about(result))}. {content.caption('bold')}\n"


def comparison_latex(result: Comparison, *, by_view: bool = False, intervals: bool = False) -> str:
    """Return the same as LaTeX (needs booktabs); the caption explains the marks."""
    content = _content(result, by_view, intervals)
    frame = _frame(content, "\\textbf{{{}}}", _latex)
    table: str = frame.to_latex(
        escape=False,
        column_format="l" + "r" * frame.shape[1],
        caption=_latex(f"{_about(result)}. {content.caption('bold')}"),
        label="tab:comparison",
        position="t",
    )
    return table


def write_comparison(result: Comparison, folder: Path, *, intervals: bool = False) -> list[Path]:
    """Write the tables into a comparison's folder, and return the files."""
    contents = {
        "table.md": comparison_markdown(result, intervals=intervals),
        "by-view.md": comparison_markdown(result, by_view=True, intervals=intervals),
        "table.tex": comparison_latex(result, intervals=intervals),
        "by-view.tex": comparison_latex(result, by_view=True, intervals=intervals),
        "standings.csv": _defused(result.frame()).to_csv(index=False),
        "runs.csv": _defused(result.run_frame()).to_csv(index=False),
    }
    for name, content in contents.items():
        with written_whole(folder / name) as temporary:
            temporary.write_text(content, encoding="utf-8")
    with written_whole(folder / "items.csv") as temporary:
        temporary.write_text("contender,seed,measure,where,tuple,score\n", encoding="utf-8")
        for frame in result.item_frames():
            _defused(frame).to_csv(temporary, mode="a", header=False, index=False)
    return [folder / name for name in (*contents, "items.csv")]


def _content(result: Comparison, by_view: bool, intervals: bool) -> _Content:
    standings = _columns(result, by_view)
    columns = {
        title: [_cell(by_name.get(name), intervals) for name in result.names]
        for title, by_name in standings.items()
    }
    contested = {title for title, by_name in standings.items() if len(by_name) > 1}
    wins = [_wins(standings, contested, name) for name in result.names] if contested else []
    names = [_one_line(_name(result, name)) for name in result.names]
    counts = {len([r for r in result.runs if r.contender == name]) for name in result.names}
    fewest = min(counts, default=0)
    several = f"{fewest} to {max(counts)}" if len(counts) > 1 else f"{fewest}"
    notes = []
    if contested and fewest == 1:
        notes.append("with one run, no test covers the variation over seeds")
    elif contested and fewest < _FEW:
        notes.append(f"with fewer than {_FEW} runs, few differences can be shown")
    if any(_is_mrr(result, *place) for place in result.standings):
        notes.append(UAP_NOTE)
    return _Content(names, columns, wins, f"{several} runs" if counts != {1} else "1 run", notes)


def _wins(
    standings: Mapping[str, Mapping[str, Standing]], contested: Collection[str], name: str
) -> str:
    """Return in how many of the columns that it shares with others a contender is best."""
    its = [by_name[name] for t in contested if name in (by_name := standings[t])]
    return f"{sum(standing.best for standing in its)} of {len(its)}"


def _is_mrr(result: Comparison, measure: str, where: str) -> bool:
    """Return whether a column of UAP equals that of MRR."""
    its = result.standings[measure, where]
    mrr = result.standings.get(("mrr", where), {})
    return measure == "uap" and all(n in mrr and same(s.mean, mrr[n].mean) for n, s in its.items())


def _columns(result: Comparison, by_view: bool) -> dict[str, Mapping[str, Standing]]:
    """Return each column's standings, by its title."""
    found: dict[str, Mapping[str, Standing]] = {}
    for (measure, where), standings in result.standings.items():
        if (by_view if where == ALL else not by_view) or _is_mrr(result, measure, where):
            continue
        places = [where] if by_view and where else result.common.get(measure) or []
        title = f"{measure} ({', '.join(places)})" if places else measure
        found[_one_line(f"{title} {_UP if result.higher[measure] else _DOWN}")] = standings
    return found


def _cell(standing: Standing | None, intervals: bool) -> _Cell:
    if standing is None:
        return _Cell("–")
    text = f"{standing.mean:.3f}"
    if intervals and not math.isnan(standing.low):
        text += f" [{standing.low:.3f}, {standing.high:.3f}]"
    elif not intervals and standing.runs > 1:
        text += f" ± {standing.std:.3f}"
    if standing.best:
        return _Cell(text, won=standing.contested)
    return _Cell(text + ("‡" if math.isnan(standing.p) else "†" if standing.tied else ""))


def _about(result: Comparison) -> str:
    """Return data, partition and settings of the comparison."""
    known = {
        "data": result.info.get("data"),
        "partition": result.info.get("partition"),
        "words of a topic": result.info.get("topk"),
        "topics": ", ".join(map(str, _topics(result, result.names))),
    }
    return _one_line(", ".join(f"{name}: {value}" for name, value in known.items() if value))


def _topics(result: Comparison, names: Collection[str]) -> list[int]:
    """Return the numbers of topics of some contenders."""
    runs = [run for run in result.runs if run.contender in names]
    return sorted({len(topics) for run in runs for topics in run.topics.values()})


def _name(result: Comparison, name: str) -> str:
    """Return a contender's name, with the number of failed runs, and K if it differs."""
    runs = [run for run in result.runs if run.contender == name]
    notes = []
    if len(_topics(result, result.names)) > 1:
        own = _topics(result, [name])
        notes += [f"K = {', '.join(map(str, own))}"] if own else []
    failed = sum(run.error is not None for run in runs)
    notes += [f"{failed} of {len(runs)} failed"] if failed else []
    return f"{name} ({'; '.join(notes)})" if notes else name


def _one_line(text: str) -> str:
    """Return a text without line breaks and control characters."""
    return " ".join(visible(text).split())


def _defused(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table in which no text is read as a formula by a spreadsheet."""
    texts = frame.select_dtypes(exclude="number").columns
    defused = frame[texts].map(
        lambda value: f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value
    )
    return frame.assign(**{name: defused[name] for name in texts})


def _frame(content: _Content, bold: str, escaped: Callable[[str], str]) -> pd.DataFrame:
    def shown(cell: _Cell) -> str:
        return bold.format(escaped(cell.text)) if cell.won else escaped(cell.text)

    columns = {escaped(t): [shown(cell) for cell in cells] for t, cells in content.columns.items()}
    names = [escaped(name) for name in content.names]
    best_in = {_BEST_IN: content.best_in} if content.best_in else {}
    return pd.DataFrame({**columns, **best_in}, index=names)


def _markdown(text: str) -> str:
    return text.translate(_MARKDOWN).replace("](", "]\\(")


def _latex(text: str) -> str:
    """Return text for LaTeX: special characters escaped, Greek letters and minus in math mode."""
    escaped = text.translate(_LATEX)
    named = re.sub(_GREEK, lambda found: _greek(found[0]), escaped)
    return re.sub(r"(?<![\w}])-(?=\d)", "$-$", named)


def _greek(letter: str) -> str:
    _, size, _, called = unicodedata.name(letter).split()
    name = called.lower().replace("lamda", "lambda")
    return f"$\\{name if size == 'SMALL' else name.capitalize()}$"


# Greek letters that LaTeX has a command for; the others look like Latin letters.
_GREEK = "[α-νξπρσ-ωΓΔΘΛΞΠΣΥΦΨΩ]"
_MARKDOWN = str.maketrans(
    {"<": "&lt;", "&": "&amp;", **{character: f"\\{character}" for character in "\\`*_|~"}}
)
_FORMULA = re.compile(r"(?![+-]?\d*\.?\d+(e[+-]?\d+)?\Z)[=+\-@\t\r]", re.IGNORECASE)
_LATEX = str.maketrans(
    {
        "±": "$\\pm$",
        "†": "$^\\dagger$",
        "‡": "$^\\ddagger$",
        "≥": "$\\geq$",
        "↑": "$\\uparrow$",
        "↓": "$\\downarrow$",
        "–": "--",
        **{character: f"${character}$" for character in "<>|"},
        "\\": "\\textbackslash{}",
        "^": "\\textasciicircum{}",
        "~": "\\textasciitilde{}",
        **{character: f"\\{character}" for character in "_%&#{}$"},
    }
)

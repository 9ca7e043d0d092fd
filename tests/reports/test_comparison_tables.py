"""Tables of comparisons: Markdown, LaTeX, CSV and the terminal."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from octis_m3l import Comparison, External, MultiviewDataset, demo_corpus
from octis_m3l.comparison.result import ALL
from octis_m3l.reports import (
    comparison_latex,
    comparison_markdown,
    comparison_table,
    write_comparison,
)
from octis_m3l.reports.comparison_tables import _latex
from tests.comparison.toy import Guesser, quickly


@pytest.fixture(scope="module")
def dataset() -> MultiviewDataset:
    return demo_corpus(80)


def printed(result: Comparison, width: int, terminal: bool | None = None, **options: Any) -> str:
    console = Console(width=width, record=True, force_terminal=terminal)
    console.print(comparison_table(result, **options))
    return console.export_text()


def test_tables(dataset: MultiviewDataset, tmp_path: Path) -> None:
    contenders = {"A_1": Guesser(0.05), "B & C": Guesser(0.9), "D|^{~\\$#": Guesser(0.5)}
    result = quickly(contenders, dataset, seeds=3)
    shown = printed(result, 300, by_view=True)
    assert "mrr (en-de) ↑" in shown
    assert "best in" in shown
    narrowly = printed(result, 45)
    assert "…" not in narrowly
    assert len([line for line in narrowly.splitlines() if "best in" in line and "┃" in line]) == 1
    assert narrowly.count("B & C") > 1
    for (measure, where), standings in result.standings.items():
        if where == ALL:
            assert f"{measure} " in narrowly
            assert f"{standings['A_1'].mean:.3f} ± {standings['A_1'].std:.3f}" in narrowly
    best = result.standings["mrr", ALL]["A_1"]
    markdown, latex = comparison_markdown(result), comparison_latex(result)
    bold = f"**{best.mean:.3f} ± {best.std:.3f}**"
    for part in ("with fewer than 5 runs", bold, "| D\\|^{\\~\\\\$#", "over 3 runs"):
        assert part in markdown
    strange = "D$|$\\textasciicircum{}\\{\\textasciitilde{}\\textbackslash{}\\$\\#"
    for part in ("A\\_1 & \\textbf{", "B \\& C", "mrr $\\uparrow$", strange):
        assert part in latex
    assert latex.count("\\\\\n") == 4
    files = write_comparison(result, tmp_path)
    assert all(file.stat().st_size for file in files)
    frame = pd.read_csv(tmp_path / "standings.csv")
    row = frame.query("contender == 'A_1' and measure == 'mrr' and `where` == 'all views'").iloc[0]
    assert row["mean"] == pytest.approx(best.mean)
    assert row["low"] < row["mean"] < row["high"]


def test_no_name_breaks_a_table_or_is_taken_for_a_formula(
    dataset: MultiviewDataset, tmp_path: Path
) -> None:
    names = ["=1+1", "-1.5", "@a", "+x", "a\n| b", "`c`", "<i>[d](e)", "esc\x1b[31m", "\u202eg"]
    contenders = {name: Guesser(0.1 * number) for number, name in enumerate(names, 1)}
    result = quickly(contenders, dataset, seeds=1, metrics=["mrr"])
    write_comparison(result, tmp_path)
    markdown = (tmp_path / "table.md").read_text()
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(names)
    for shown in ("a \\| b", "\\`c\\`", "&lt;i>[d]\\(e)", "esc\\\\u001b[31m", "\\\\u202eg"):
        assert f"| {shown}" in markdown
    latex = (tmp_path / "table.tex").read_text()
    assert latex.count("\\\\\n") == 1 + len(names)
    assert "$<$i$>$[d](e)" in latex
    shown = printed(result, 200)
    assert "esc\\u001b[31m" in shown
    for file in ("table.md", "table.tex"):
        assert not {"\x1b", "\u202e"} & {*(tmp_path / file).read_text(), *shown}
    for file in ("standings.csv", "runs.csv", "items.csv"):
        kept = {*pd.read_csv(tmp_path / file, dtype=str)["contender"]}
        assert kept == {"'=1+1", "-1.5", "'@a", "'+x", *names[4:]}
    assert pd.read_csv(tmp_path / "standings.csv")["mean"].dtype == float


def test_nobody_wins_what_it_alone_can_have(dataset: MultiviewDataset) -> None:
    apart = {"ours": Guesser(0.1), "theirs": Guesser(0.1, aligned=False)}
    result = quickly(apart, dataset, seeds=5)
    markdown = comparison_markdown(result)
    lines = [line.split("|") for line in markdown.splitlines() if line.startswith("| ")]
    assert "mrr" in lines[0][2]
    assert "**" not in lines[1][2]
    assert lines[1][-2].strip() == lines[2][-2].strip() == "1 of 1"


def test_columns_that_say_the_same_count_once(dataset: MultiviewDataset) -> None:
    both = {"a": Guesser(0.1), "b": Guesser(0.9)}
    result = quickly(both, dataset, seeds=2, metrics=["mrr", "uap"])
    markdown = comparison_markdown(result)
    assert "1 of 1" in markdown, "with one right answer UAP is MRR"
    assert markdown.count("uap") == 1
    assert "uap is omitted where it equals mrr" in markdown
    assert {"mrr", "uap"} == {*result.frame().measure}
    alone = quickly(both, dataset, seeds=1, metrics=["uap"])
    assert "| uap ↑" in comparison_markdown(alone)


def test_latex_of_greek_and_negative_numbers(dataset: MultiviewDataset) -> None:
    result = quickly({"M3L, τ = .1": Guesser(0.1)}, dataset, metrics=["npmi"])
    latex = comparison_latex(result)
    assert "M3L, $\\tau$ = .1" in latex
    assert _latex("Α λς Ω") == "Α $\\lambda$ς $\\Omega$", "LaTeX has no \\Alpha"
    shown = abs(result.standings["npmi", ALL]["M3L, τ = .1"].mean)
    assert f"$-${shown:.3f}" in latex
    assert "partition: test, words of a topic: 10, topics: 4" in latex
    assert "<Comparison: 5 runs of M3L, τ = .1, 0 failed>" in repr(result)


def test_where_k_differs_names_say_it_and_intervals_can_be_had(dataset: MultiviewDataset) -> None:
    texts = dataset.with_views(["en", "de"])
    words = {name: view.vocabulary for name, view in texts.text_views.items()}
    few = External({n: [w[:5], w[5:10]] for n, w in words.items()})
    more = External({n: [w[:5], w[5:10], w[:5]] for n, w in words.items()})
    result = quickly({"few": few, "more": more}, texts, topk=5)
    markdown = comparison_markdown(result, intervals=True)
    untested = "; with one run, no test covers the variation over seeds"
    for part in ("few (K = 2)", "more (K = 3)", "; ‡: no test is possible", untested):
        assert part in markdown
    several = quickly({"a": Guesser(0.1), "b": Guesser(0.4)}, texts, seeds=2, metrics=["mrr"])
    standing = several.standings["mrr", ALL]["b"]
    shown = f"{standing.mean:.3f} [{standing.low:.3f}, {standing.high:.3f}]"
    assert shown in comparison_markdown(several, intervals=True)
    latex = comparison_latex(several, intervals=True)
    assert "mean [95 \\% confidence interval] over 2 runs" in latex


def test_captions_explain_what_the_table_shows_and_nothing_else(dataset: MultiviewDataset) -> None:
    one = quickly({"a": Guesser(0.1)}, dataset, seeds=1, metrics=["mrr"])
    assert comparison_markdown(one).rstrip().endswith("topics: 4. mean over 1 run")
    assert "best in" not in comparison_latex(one)
    apart = {"sharp": Guesser(0.05), "blurred": Guesser(0.9), "alone": Guesser(0.5, aligned=False)}
    several = quickly(apart, dataset, seeds=5, metrics=["mrr"])
    texts = {
        "markdown": comparison_markdown(several),
        "latex": comparison_latex(several),
        "by view": comparison_markdown(several, by_view=True, intervals=True),
        "file": printed(several, 300, terminal=False),
        "terminal": printed(several, 300, terminal=True),
    }
    for name, text in texts.items():
        table, caption = text.rsplit("mean ", 1)
        if name == "latex":
            caption, table = caption.split("\\label")
        assert ("*: the best" in caption) == (name == "file")
        assert ("bold: the best" in caption) == (name != "file")
        for plain_mark, latex in (("±", "pm"), ("†", "\\dagger"), ("‡", "ddagger"), ("–", "--")):
            mark = latex if name == "latex" else plain_mark
            assert (mark in table) == (mark in caption), f"{mark} of {name}"
        assert "best in: of the measures that it shares with others" in caption
        assert "uap" not in caption
    assert "*" in texts["file"].rsplit("mean ", 1)[0]

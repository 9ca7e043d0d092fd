"""Tables for a terminal."""

import math
from collections.abc import Mapping
from typing import Any, Literal

from rich.table import Column, Table
from rich.text import Text

from octis_m3l.errors import visible
from octis_m3l.models.base import TopicModel
from octis_m3l.search import SearchResult

UAP_NOTE = "uap is left out where it equals mrr, as wherever each query has one right answer"
_EDGE = 0.02
_STEPS = 10
_TOPICS_SHOWN = 200


def cell(value: object) -> Text:
    """Return what a table shows of a value: never as markup, its control characters visible."""
    return Text(visible(str(value)))


def listed_topics(model: TopicModel, words: int) -> list[dict[str, Any]]:
    """Return the topics, most frequent first, as JSON can hold them.

    Parameters
    ----------
    model : TopicModel
        Trained.
    words : int
        How many of each topic, at most.

    Returns
    -------
    list of dict
        topic, share, and a list of words for each text view.
    """
    frame = model.topic_info(words)
    spoken = [str(name) for name in frame.columns[2:]]
    return [
        {
            "topic": topic,
            "share": share,
            **{n: one.split() for n, one in zip(spoken, of, strict=True)},
        }
        for topic, share, *of in frame.itertuples(index=False)
    ]


def topics_table(model: TopicModel, words: int) -> Table:
    """Return the topics, the 200 most frequent ones, side by side in every language.

    Parameters
    ----------
    model : TopicModel
        Trained.
    words : int
        How many of each topic, at most.
    """
    frame = model.topic_info(words)
    table = Table("topic", "share", *frame.columns[2:], title="Aligned topics")
    for row in frame[:_TOPICS_SHOWN].itertuples(index=False):
        table.add_row(str(row[0]), f"{row[1]:.1%}", *map(cell, row[2:]))
    if len(frame) > _TOPICS_SHOWN:
        rest = len(frame) - _TOPICS_SHOWN
        table.caption = f"{rest:,} less frequent topics are not shown; --json lists all."
    return table


def scores_table(
    scores: Mapping[str, Mapping[str, float]],
    measures: Mapping[str, Mapping[str, Any]],
    covered: Mapping[str, float] | None = None,
) -> Table:
    """Return every measure's scores, and what chance would give.

    Parameters
    ----------
    scores : mapping of measure to mapping of view or pair to score
        What was measured.
    measures : mapping of measure to mapping of view or pair to metric
        What measured it.
    covered : mapping of pair to float, optional
        Which share of the topics' words CNPMI's reference corpus has seen.
    """
    table = Table("measure", "of", "score", "by chance", "better", title="Scores")
    left_out = {
        w for w, s in scores.get("uap", {}).items() if same(s, scores.get("mrr", {}).get(w))
    }
    for name, by_view in scores.items():
        passed = left_out if name == "uap" else set()
        for where in [where for where in by_view if where not in passed]:
            metric = measures[name][where]
            chance = f"{metric.chance():.4f}" if hasattr(metric, "chance") else ""
            table.add_row(cell(name), cell(where), _shown(by_view[where]), chance, metric.direction)
        if len(by_view) > max(1, len(passed)):
            average = sum(by_view.values()) / len(by_view)
            title = "mean of all" if passed else "mean"
            table.add_row("", title, _shown(average), style="italic")
    notes = [UAP_NOTE] if left_out else []
    if any(math.isnan(score) for by_view in scores.values() for score in by_view.values()):
        notes.append("–: could not be scored")
    if covered:
        notes.append(
            "CNPMI: its reference corpus has seen "
            + ", ".join(f"{share:.0%} of the topics' words of {p}" for p, share in covered.items())
        )
    table.caption = "; ".join(notes) or None
    return table


def same(score: float, other: float | None) -> bool:
    """Say whether two scores are equal but for rounding."""
    return other is not None and math.isclose(score, other, rel_tol=1e-9)


def _shown(score: float) -> str:
    return "–" if math.isnan(score) else f"{score:.4f}"


def measured(result: SearchResult) -> str:
    """Return what a search was steered by."""
    info = result.metric.info() if hasattr(result.metric, "info") else {}
    return str(info.get("name", type(result.metric).__name__))


def search_table(result: SearchResult, weights: Mapping[str, float], best: int = 10) -> Table:
    """Return the best points of a search, best first, with each hyperparameter's importance.

    Parameters
    ----------
    result : SearchResult
        The search.
    weights : mapping of str to float
        As `importances` gives them; may be empty.
    best : int
        How many points.
    """
    sign = -1 if result.info["optimization_type"] == "Maximize" else 1
    known = [call for call, median in enumerate(result.medians) if median is not None]
    known.sort(key=lambda call: sign * (result.medians[call] or 0.0))
    failed = len(result.medians) - len(known)
    scored = {
        call: [run.scores[0] for run in result.outcomes if run.call == call and run.scores]
        for call in known[:best]
    }
    several = any(len(runs) > 1 for runs in scored.values())
    title = f"The best of {len(result.medians)} calls"
    if several:
        title += f", medians of {result.info['model_runs']} runs"
    table = Table(
        "call",
        Column(cell(measured(result))),
        *(["lowest and highest run"] if several else []),
        *(Column(cell(name)) for name in result.x_iters),
        title=title + (f"; {failed} failed" if failed else ""),
        caption=_edges(result),
    )
    for call, runs in scored.items():
        spread = [f"{min(runs):.4f} – {max(runs):.4f}"] if several else []
        point = [of[call] for of in result.x_iters.values()]
        shown = [cell(f"{x:.4g}" if isinstance(x, float) else x) for x in point]
        table.add_row(str(call), f"{result.medians[call]:.4f}", *spread, *shown)
    if weights:
        table.add_section()
        shares = [f"{weights[name]:.0%}" for name in result.x_iters]
        table.add_row("explains", "", *([""] if several else []), *shares)
    return table


def at_edge(result: SearchResult) -> dict[str, Literal["low", "high"]]:
    """Return which of the best point's numbers are at an end of their range: within 2 % of it.

    Of ten calls or more. A range that begins at 0 ends there, as do whole numbers with fewer than
    ten steps: layers and dropout end somewhere.

    Parameters
    ----------
    result : SearchResult
        The search.
    """
    found: dict[str, Literal["low", "high"]] = {}
    if sum(median is not None for median in result.medians) < _STEPS:
        return found
    for name, value in result.best.items():
        searched = result.search_space[name]
        if not hasattr(searched, "low") or (
            isinstance(value, int) and searched.high - searched.low < _STEPS
        ):
            continue
        logarithmic = searched.prior == "log-uniform"
        low, high, here = (
            math.log(number) if logarithmic else number
            for number in (searched.low, searched.high, value)
        )
        place = (here - low) / (high - low)
        if place > 1.0 - _EDGE:
            found[name] = "high"
        elif place < _EDGE and searched.low != 0:
            found[name] = "low"
    return found


def _edges(result: SearchResult) -> str | None:
    ends = [f"{name} ({end})" for name, end in at_edge(result).items()]
    if not ends:
        return None
    return f"the best is at the end of the range of {', '.join(ends)}: a wider one may have better"

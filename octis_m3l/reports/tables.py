"""Tables of topics and scores for a terminal."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text
from scipy.optimize import linear_sum_assignment

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.errors import visible
from octis_m3l.models.base import TopicModel
from octis_m3l.models.output import ModelOutput

UAP_NOTE = "uap is omitted where it equals mrr, that is, where each query has one right answer"
_TOPICS_SHOWN = 200


def cell(value: object) -> Text:
    """Return a table cell: no markup, control characters made visible."""
    return Text(visible(str(value)))


def listed_topics(model: TopicModel, words: int) -> list[dict[str, Any]]:
    """Return the topics, most frequent first: topic, share, and words of each text view."""
    frame = model.topic_info(words)
    languages = [str(name) for name in frame.columns[2:]]
    return [
        {
            "topic": topic,
            "share": share,
            **{n: one.split() for n, one in zip(languages, of, strict=True)},
        }
        for topic, share, *of in frame.itertuples(index=False)
    ]


def topics_table(model: TopicModel, words: int) -> Table:
    """Return the 200 most frequent topics of a trained model, side by side in every language."""
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
    coverage: Mapping[str, float] | None = None,
) -> Table:
    """Return every measure's scores, beside those expected by chance.

    Parameters
    ----------
    scores, measures : mapping of measure to mapping of view or pair to score, or to metric
        As `score_all` and `applicable` return them.
    coverage : mapping of pair to float, optional
        The share of the topics' words that CNPMI's reference corpus contains.
    """
    table = Table("measure", "of", "score", "by chance", "better", title="Scores")
    mrr = scores.get("mrr", {})
    samples: dict[str, tuple[int, int]] = {}
    repeated = {where for where, s in scores.get("uap", {}).items() if same(s, mrr.get(where))}
    for name, by_view in scores.items():
        omitted = repeated if name == "uap" else set()
        for where in [where for where in by_view if where not in omitted]:
            metric = measures[name][where]
            chance = f"{metric.chance():.4f}" if hasattr(metric, "chance") else ""
            shown = _shown(by_view[where])
            if getattr(metric, "sampled", None):
                samples[where] = metric.sampled
                shown += f" ± {metric.margin:.4f}"
            table.add_row(cell(name), cell(where), shown, chance, metric.direction)
        if len(by_view) > max(1, len(omitted)):
            average = sum(by_view.values()) / len(by_view)
            title = "mean of all" if omitted else "mean"
            table.add_row("", title, _shown(average), style="italic")
    notes = [UAP_NOTE] if repeated else []
    if any(math.isnan(score) for by_view in scores.values() for score in by_view.values()):
        notes.append("–: could not be scored")
    if samples:
        of = (f"{n:,} of {every:,} queries ({where})" for where, (n, every) in samples.items())
        notes.append(f"±: 95 % interval, since {', '.join(of)} were chosen at random")
    if coverage:
        shares = (f"{share:.0%} of the topics' words of {p}" for p, share in coverage.items())
        notes.append(f"CNPMI: its reference corpus contains {', '.join(shares)}")
    table.caption = "; ".join(notes) or None
    return table


def same(score: float, other: float | None) -> bool:
    """Return whether two scores are equal up to rounding."""
    return other is not None and math.isclose(score, other, rel_tol=1e-9)


def _shown(score: float) -> str:
    return "–" if math.isnan(score) else f"{score:.4f}"


def planted_recovery(dataset: MultiviewDataset, output: ModelOutput) -> dict[str, dict[str, Any]]:
    """Return, for each planted theme, its topic and how many of its words the topic shows."""
    themes: dict[str, dict[str, Any]] = dataset.metadata["themes"]
    languages = [name for name in dataset.text_views if f"topics/{name}" in output]
    topics = {name: output.topics(name) for name in languages}
    found = np.array(
        [
            [[len(set(words) & set(planted[name])) for words in topics[name]] for name in languages]
            for planted in themes.values()
        ]
    )
    theme_numbers, topic_numbers = linear_sum_assignment(-found.sum(axis=1))
    names = list(themes)
    return {
        names[theme]: {
            "topic": int(topic),
            "planted": len(themes[names[theme]][languages[0]]),
            "found": {n: int(found[theme, i, topic]) for i, n in enumerate(languages)},
        }
        for theme, topic in zip(theme_numbers, topic_numbers, strict=True)
    }


def recovery_table(recovered: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return how many of each planted theme's words its topic shows."""
    languages = next(iter(recovered.values()))["found"].keys()
    table = Table("planted theme", "topic", *languages, title="Planted words among the top 10")
    for theme, entry in recovered.items():
        found = [f"{n} of {entry['planted']}" for n in entry["found"].values()]
        table.add_row(theme, str(entry["topic"]), *found)
    return table

"""Topics and scores for people to look at."""

from octis_m3l.reports.comparison_tables import (
    comparison_latex,
    comparison_markdown,
    comparison_table,
    write_comparison,
)
from octis_m3l.reports.search_report import (
    FEWEST,
    at_edge,
    check_picture,
    draw_search,
    importances,
    search_table,
)
from octis_m3l.reports.tables import (
    listed_topics,
    planted_recovery,
    recovery_table,
    scores_table,
    topics_table,
)
from octis_m3l.reports.topic_sheet import draw_topic_sheet

__all__ = [
    "FEWEST",
    "at_edge",
    "check_picture",
    "comparison_latex",
    "comparison_markdown",
    "comparison_table",
    "draw_search",
    "draw_topic_sheet",
    "importances",
    "listed_topics",
    "planted_recovery",
    "recovery_table",
    "scores_table",
    "search_table",
    "topics_table",
    "write_comparison",
]

"""Topics and scores for people to look at."""

from octis_m3l.reports.tables import listed_topics, recovery_table, scores_table, topics_table
from octis_m3l.reports.topic_sheet import draw_topic_sheet

__all__ = [
    "draw_topic_sheet",
    "listed_topics",
    "recovery_table",
    "scores_table",
    "topics_table",
]

"""Topics for people to look at."""

from octis_m3l.reports.topic_sheet import draw_topic_sheet

__all__ = ["draw_topic_sheet"]

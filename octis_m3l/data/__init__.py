"""Data sets: views, links, partitions, folders, text preprocessing."""

from typing import TYPE_CHECKING

from octis_m3l.registry import lazily

if TYPE_CHECKING:
    from octis_m3l.data.adopt import text_view_from_ctm, text_view_from_octis
    from octis_m3l.data.bow_folder import write_bow_folder
    from octis_m3l.data.dataset import (
        MultiviewDataset,
        from_bow_folder,
        from_frame,
        from_jsonl,
        from_lists,
        from_octis,
        from_table,
    )
    from octis_m3l.data.text import TextPreprocessor
    from octis_m3l.data.views import ImageView, TextView
    from octis_m3l.data.words import mutually_nearest

__getattr__ = lazily(__name__, __file__)

__all__ = [
    "ImageView",
    "MultiviewDataset",
    "TextPreprocessor",
    "TextView",
    "from_bow_folder",
    "from_frame",
    "from_jsonl",
    "from_lists",
    "from_octis",
    "from_table",
    "mutually_nearest",
    "text_view_from_ctm",
    "text_view_from_octis",
    "write_bow_folder",
]

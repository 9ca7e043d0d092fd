"""Models side by side: same data, same embeddings, same measures, and what the differences mean."""

from octis_m3l.comparison.comparing import compare
from octis_m3l.comparison.contenders import Contender, External, Ours
from octis_m3l.comparison.per_view import OfContextualized, OfOCTIS
from octis_m3l.comparison.result import Comparison

__all__ = ["Comparison", "Contender", "External", "OfContextualized", "OfOCTIS", "Ours", "compare"]

"""How runs are scored, and the guard that keeps test documents from steering a search."""

import copy
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from octis_m3l.data.adopt import partition_sizes
from octis_m3l.errors import SettingsError
from octis_m3l.metrics import OnView
from octis_m3l.metrics.base import partitions_read, score_of

_TEST_KEYS = "test-"


def check_metrics(metrics: Sequence[Any], dataset: Any) -> None:
    """Reject a first metric that reads test documents; warn of others that do."""
    for position, metric in enumerate(metrics):
        if "test" in partitions_read(metric):
            reads, remedy = _test_use(metric)
            if position == 0:
                raise SettingsError(
                    f"{reads}, which a search must not see; {remedy}. To search by it all the "
                    "same: test_allowed=True."
                )
            warnings.warn(
                f"{reads}. An extra metric is reported and does not steer the search; choosing "
                f"among the calls by it would be fitting to the test partition ({remedy}).",
                stacklevel=3,
            )
        texts = getattr(metric, "texts", getattr(metric, "_texts", None))
        if texts is not None and partition_sizes(dataset)[2] and texts == dataset.get_corpus():
            warnings.warn(
                f"{type(metric).__name__} counts words in all documents, including those of the "
                "test partition; to leave these out, give it "
                "texts=dataset.get_partitioned_corpus()[0].",
                stacklevel=3,
            )


def _test_use(metric: Any) -> tuple[str, str]:
    """Return how a metric reads test documents, and what to use instead."""
    metric = metric.metric if isinstance(metric, OnView) else metric
    name = type(metric).__name__
    if hasattr(metric, "documents"):
        remedy = f"say {name}(…, documents='validation'), or give it another corpus"
        return f"{name} counts words in test documents", remedy
    if hasattr(metric, "partition"):
        remedy = f"score the validation partition: {name}(…, partition='validation')"
        return f"{name} scores the test partition", remedy
    owner = "OCTIS's " if type(metric).__module__.startswith("octis.") else ""
    remedy = "use CrosslingualClassification(dataset, view, view, 'validation')"
    return f"{owner}{name} scores the test partition", remedy


def finite_score(metric: Any, output: Mapping[str, Any]) -> float:
    """Return a metric's score, or raise if it is not finite."""
    score = score_of(metric, output)
    if not math.isfinite(score):
        raise ValueError(f"{type(metric).__name__} is {score}")
    return score


def score_without_test(metric: Any, output: Mapping[str, Any]) -> float:
    """Return a metric's score of an output from which the test documents are removed."""
    visible: Any = copy.copy(output)
    for key in [key for key in visible if key.startswith(_TEST_KEYS)]:
        del visible[key]
    try:
        return finite_score(metric, visible)
    except KeyError as error:
        if not str(error.args[0]).startswith(_TEST_KEYS):
            raise
        raise SettingsError(
            f"{type(metric).__name__} looks at the test partition, which a search must not see; "
            "score validation documents, or, to search by it all the same, test_allowed=True."
        ) from None

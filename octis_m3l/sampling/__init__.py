"""Collapsed Gibbs sampling of topics over linked documents."""

from octis_m3l.sampling.chain import Chain
from octis_m3l.sampling.corpus import LinkedCorpus
from octis_m3l.sampling.run import RunSettings, run_chain
from octis_m3l.sampling.samples import (
    Sample,
    as_arrays,
    fold_in,
    fold_in_samples,
    from_arrays,
    shared_out,
)

__all__ = [
    "Chain",
    "LinkedCorpus",
    "RunSettings",
    "Sample",
    "as_arrays",
    "fold_in",
    "fold_in_samples",
    "from_arrays",
    "run_chain",
    "shared_out",
]

"""Collapsed Gibbs sampling of topics over linked documents."""

from octis_m3l.sampling.chain import Chain
from octis_m3l.sampling.corpus import LinkedCorpus
from octis_m3l.sampling.folding import fold_in
from octis_m3l.sampling.run import RunSettings, run_chain

__all__ = ["Chain", "LinkedCorpus", "RunSettings", "fold_in", "run_chain"]

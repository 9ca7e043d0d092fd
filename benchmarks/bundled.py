"""What the encoders with bundled weights cost, and how near translations are in their spaces."""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from data_sets import load
from report import finish

from octis_m3l.encoders import encoder_from
from octis_m3l.metrics.retrieval import reciprocal_ranks


def used() -> tuple[float, float]:
    """Return the seconds of CPU and the MB of memory that the process has used so far."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return time.process_time(), pages * 4096 / 2**20


def main() -> None:
    """Measure one encoder on Bible passages and on the words of ECNews."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encoder", choices=["use", "e5"])
    parser.add_argument("--items", type=int, default=200, help="passages whose encoding is timed")
    arguments = parser.parse_args()
    encoder, passages = encoder_from(arguments.encoder), load("bible-passages", ["en", "de"])
    texts = list(passages.view("en").items(slice(0, arguments.items)))
    torch.set_num_threads(1)
    (start, before), _ = used(), encoder.encode(texts[:1])
    (loaded, _), _ = used(), encoder.encode(texts)
    end, after = used()
    measured = {
        "seconds to load": loaded - start,
        "MB for weights and texts": after - before,
        "ms of CPU a passage": 1000 * (end - loaded) / len(texts),
    }
    parts = {n: view.items(view.rows("validation")) for n, view in passages.views.items()}
    english, german = (encoder.encode(list(part)) for part in parts.values())
    distances = 1 - (english @ german.T).astype(np.float64)
    linked = np.eye(len(distances), dtype=np.bool_)
    measured["MRR en-de"] = reciprocal_ranks(distances, linked).mean()
    measured["MRR de-en"] = reciprocal_ranks(distances.T, linked).mean()
    news = load("ecnews", None)
    words = {n: encoder.encode(list(v.vocabulary)) for n, v in news.text_views.items()}
    pairs = news.dictionaries["en", "cn"]
    found = (words["en"] @ words["cn"].T).argmax(axis=1)[pairs[:, 0]] == pairs[:, 1]
    measured["P@1 of dictionary pairs"] = found.mean()
    measured["P@1 of English words"] = np.mean(
        [found[pairs[:, 0] == word].any() for word in np.unique(pairs[:, 0])]
    )
    rounded = {name: round(float(value), 4) for name, value in measured.items()}
    for name, value in rounded.items():
        print(f"{name:25} {value:.4g}")
    settings = {"encoder": arguments.encoder, "threads": 1}
    finish(rounded, data="bible-passages en-de, validation; ecnews", settings=settings, seeds=1)


if __name__ == "__main__":
    main()

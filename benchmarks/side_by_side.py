"""LDA, NMF, ETM, CombinedTM, ZeroshotTM, PLTM, ZeroshotTM-KD and M3L-Contrast in one table."""

import argparse
import json
import warnings
from pathlib import Path

from data_sets import load
from report import finish
from rich.console import Console

from octis_m3l import compare
from octis_m3l.comparison.specifications import contender
from octis_m3l.reports import comparison_table, write_comparison

MODELS = {
    "M3L-Contrast": "m3l-contrast",
    "PLTM": "pltm",
    "ZeroshotTM-KD": "zeroshot-tm-kd",
    "ZeroshotTM": "zeroshot-tm",
    "CombinedTM (OCTIS)": "octis.CombinedTM",
    "ETM (OCTIS)": "octis.ETM",
    "LDA (OCTIS)": "octis.LDA",
    "NMF (OCTIS)": "octis.NMF",
}


def main() -> None:
    """Train every model over the seeds, print the tables and the hardest comparisons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--views", default="en,de")
    parser.add_argument("--topics", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--encoder", default="clsi")
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--device", help="default: the models' own")
    parser.add_argument("--out", type=Path, help="a comparison that goes on, and its tables")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)
    dataset = load("bible-passages", arguments.views.split(","))
    result = compare(
        {name: contender(MODELS[name], arguments.topics) for name in arguments.models},
        dataset,
        seeds=arguments.seeds,
        encoder=arguments.encoder,
        out=arguments.out,
        processes=arguments.processes,
        device=arguments.device,
    )
    console = Console(width=180)
    console.print(comparison_table(result))
    console.print(comparison_table(result, by_view=True))
    if arguments.out is not None:
        write_comparison(result, arguments.out)
    seconds = {
        name: round(sum(run.seconds for run in result.runs if run.contender == name))
        for name in result.names
    }
    finish(
        {"standings": json.loads(result.frame().to_json(orient="records"))},
        seconds=seconds,
        data="bible-passages",
        views=list(dataset.views),
        settings={"num_topics": arguments.topics, "encoder": arguments.encoder},
        seeds=arguments.seeds,
    )


if __name__ == "__main__":
    main()

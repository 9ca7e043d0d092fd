"""Memory and time of each step on large corpora: `size.py --tuples 10000,100000,1000000`.

A tuple has a text of 60 words in each of two languages, and a 512-dimensional vector of half
precision for each, in files that are memory-mapped. Every step is a command in a process of its
own. Memory is the largest `RssAnon` of the process, looked at fifty times a second; pages of mapped
files are reported apart.
"""

import argparse
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from report import finish
from rich.console import Console
from rich.table import Table

from octis_m3l.files import cache_folder

LANGUAGES, LENGTH, WORDS, DIMENSIONS, TOPICS, THEMES = ("en", "de"), 60, 5000, 512, 50, 60
AT_ONCE = 10_000
LIMIT_MIB = 4096


def write_corpus(folder: Path, tuples: int) -> None:
    """Write a table of texts, and the vectors of each language."""
    random = np.random.default_rng(0)
    weights = 1 / np.arange(1, WORDS + 1)
    phi = np.cumsum(
        [random.permutation(weights) * 0.3 + weights * 0.7 for _ in range(THEMES)], axis=1
    )
    phi /= phi[:, -1:]
    centres = random.standard_normal((THEMES, DIMENSIONS), np.float32)
    shape = (tuples, DIMENSIONS)
    vectors = {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.float16, shape)
        for name in LANGUAGES
    }
    spelled = {
        name: np.array([f"{name}{_letters(number)}" for number in range(WORDS)], object)
        for name in LANGUAGES
    }
    with (folder / "texts.csv").open("w", encoding="utf-8") as file:
        file.write(",".join(LANGUAGES) + "\n")
        for start in range(0, tuples, AT_ONCE):
            count = min(AT_ONCE, tuples - start)
            themes = random.integers(THEMES, size=count)
            texts = []
            for name in LANGUAGES:
                drawn = np.empty((count, LENGTH), np.int64)
                for theme in range(THEMES):
                    of_theme = themes == theme
                    uniform = random.random((int(of_theme.sum()), LENGTH))
                    drawn[of_theme] = np.searchsorted(phi[theme], uniform)
                texts.append([" ".join(row) for row in spelled[name][drawn]])
                noise = random.standard_normal((count, DIMENSIONS), np.float32)
                vectors[name][start : start + count] = centres[themes] + noise
            file.writelines(f"{','.join(row)}\n" for row in zip(*texts, strict=True))


def _letters(number: int) -> str:
    return "".join(chr(ord("a") + number // 26**place % 26) for place in range(3))


def measured(command: Sequence[str]) -> dict[str, float]:
    """Run a command, and return its seconds and the largest anonymous and mapped memory in MiB."""
    started = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        running = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", *command], stdout=subprocess.DEVNULL, stderr=said
        )
        largest = {"RssAnon": 0, "RssFile": 0}
        while running.poll() is None:
            try:
                status = Path(f"/proc/{running.pid}/status").read_text(encoding="utf-8")
            except OSError:
                break
            for line in status.splitlines():
                name, _, value = line.partition(":")
                if name in largest:
                    largest[name] = max(largest[name], int(value.split()[0]))
            time.sleep(0.02)
        if running.wait():
            said.seek(0)
            raise SystemExit(f"{' '.join(command)}: {said.read().decode()}")
    return {
        "seconds": time.perf_counter() - started,
        "peak_mib": largest["RssAnon"] / 1024,
        "mapped_mib": largest["RssFile"] / 1024,
    }


def steps_of(folder: Path) -> dict[str, list[str]]:
    """Return the command of each step."""
    corpus, model = str(folder / "corpus"), str(folder / "model")
    texts = [part for name in LANGUAGES for part in ("--text", f"{name}={name}")]
    given = [part for n in LANGUAGES for part in ("--embeddings", f"{n}={folder / f'{n}.npy'}")]
    settings = ["encoder=given", "epochs=1", "hidden_size=200"]
    options = [part for setting in settings for part in ("--set", setting)]
    shell, inference = (
        "from octis_m3l.cli import main; main()",
        (
            "import sys, numpy, octis_m3l; model = octis_m3l.load_model(sys.argv[1]); "
            "model.infer(numpy.load(sys.argv[2], mmap_mode='r'), 'de')"
        ),
    )
    return {
        "build": [shell, "build", str(folder / "texts.csv"), *texts, *given, "--out", corpus],
        "train": [shell, "train", corpus, "--out", model, "--topics", str(TOPICS), *options],
        "infer": [inference, model, str(folder / "de.npy")],
        "evaluate": [shell, "evaluate", model, "--json"],
        "topics": [shell, "topics", model, "--json"],
    }


def main() -> None:
    """Measure every step at every size, and print both and their exponents in tuples."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tuples", default="10000", help="one size, or several: 10000,100000")
    parser.add_argument("--last", default="topics", help="stop after this step")
    parser.add_argument("--folder", type=Path, help="where to write; default: the user's cache")
    arguments = parser.parse_args()
    sizes = [int(size) for size in arguments.tuples.split(",")]
    found: dict[int, dict[str, dict[str, float]]] = {}
    table = Table("tuples", "step", "seconds", "MiB", "mapped MiB")
    place = arguments.folder or cache_folder() / "size"
    place.mkdir(parents=True, exist_ok=True)
    for size in sizes:
        with tempfile.TemporaryDirectory(dir=place) as temporary:
            folder = Path(temporary)
            write_corpus(folder, size)
            found[size] = {}
            for name, command in steps_of(folder).items():
                found[size][name] = of = measured(command)
                row = (of["seconds"], of["peak_mib"], of["mapped_mib"])
                table.add_row(f"{size:,}", name, *(f"{value:,.0f}" for value in row))
                print(size, name, *(f"{value:.0f}" for value in row), file=sys.stderr, flush=True)
                if name == arguments.last:
                    break
    Console(width=100).print(table)
    last = found[sizes[-1]]
    result: dict[str, Any] = {
        measure: {name: round(of[measure], 1) for name, of in last.items()}
        for measure in ("peak_mib", "mapped_mib", "seconds")
    }
    if len(sizes) > 1:
        before, grown = found[sizes[-2]], math.log(sizes[-1] / sizes[-2])
        result["exponents"] = {
            measure: {
                name: round(math.log(of[measure] / before[name][measure]) / grown, 2)
                for name, of in last.items()
            }
            for measure in ("peak_mib", "seconds")
        }
    result["within_limit"] = all(of["peak_mib"] <= LIMIT_MIB for of in last.values())
    data = f"planted, {LENGTH} words of {WORDS:,}, {DIMENSIONS}-d float16 vectors, two languages"
    finish(result, data=data, settings={"tuples": sizes, "topics": TOPICS}, seeds=1)


if __name__ == "__main__":
    main()

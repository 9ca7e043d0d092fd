"""What encoding costs beside the library called directly, and what the cache adds and saves.

The sentence encoder is of MiniLM's size (6 layers of 384) with random weights, made on the spot:
what is timed does not depend on what it knows.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
from report import finish
from rich.console import Console
from rich.table import Table

from octis_m3l.encoders import EmbeddingCache, SentenceEncoder

WORDS = 2000


def random_model(folder: Path) -> Path:
    """Write a sentence-transformers model with random weights.

    Parameters
    ----------
    folder : Path
        Where.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"word{i}" for i in range(WORDS))]
    tokenizer = BertTokenizerFast(vocab={word: number for number, word in enumerate(words)})
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=12,
        intermediate_size=1536,
        max_position_embeddings=128,
    )
    torch.manual_seed(0)
    BertModel(config).save_pretrained(folder / "bert")
    tokenizer.save_pretrained(folder / "bert")
    transformer = Transformer(str(folder / "bert"), max_seq_length=128)
    model = SentenceTransformer(modules=[transformer, Pooling(384)], device="cpu")
    model.save(str(folder / "model"))
    return folder / "model"


def texts(count: int, length: int) -> list[str]:
    """Return texts of random words, of about the length asked for."""
    random = np.random.default_rng(0)
    lengths = random.integers(length // 2, length * 3 // 2, count)
    return [" ".join(f"word{i}" for i in random.integers(0, WORDS, n)) for n in lengths]


def files(folder: Path, count: int) -> list[Path]:
    """Return files of a few bytes, old enough to be known by their times."""
    folder.mkdir()
    paths = [folder / f"{number}.png" for number in range(count)]
    for path in paths:
        path.write_text(path.name)
    time.sleep(3)
    return paths


def seconds(call: Callable[[], object]) -> float:
    """Return how long a call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def main() -> None:
    """Time the library, the encoder, and the encoder through the cache, in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1024)
    parser.add_argument("--rows", type=int, default=100_000, help="of the second run")
    parser.add_argument("--files", type=int, default=20_000, help="pictures of the second run")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    from sentence_transformers import SentenceTransformer

    taken: dict[str, list[float]] = {"library": [], "encoder": [], "with the cache": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = str(random_model(folder))
        given = texts(arguments.items, 60)
        library = SentenceTransformer(path, device=arguments.device)
        encoder = SentenceEncoder(path, device=arguments.device, precision="float32")
        expected = library.encode(given[:64], batch_size=32)
        if not np.allclose(expected, encoder.encode(given[:64]), atol=1e-5):
            raise SystemExit("the encoder's vectors are not the library's")
        for repeat in range(arguments.repeats):
            cache = EmbeddingCache(folder / f"cache-{repeat}")
            taken["library"].append(seconds(lambda: library.encode(given, batch_size=32)))
            taken["encoder"].append(seconds(lambda: encoder.encode(given)))
            taken["with the cache"].append(
                seconds(lambda c=cache: c.encode(encoder, given))  # type: ignore[misc]
            )

        class Known:
            """384 numbers for each text, at once."""

            name, dimensions = "known", 384

            def fingerprint(self) -> str:
                return "0" * 64

            def encode(self, items: list[str] | list[Path]) -> np.ndarray:
                return np.ones((len(items), 384), np.float32)

        def again(items: list[str] | list[Path]) -> float:
            """Return the seconds that 100,000 items take when all are known."""
            kept = EmbeddingCache(folder / "large")
            kept.encode(Known(), items)
            taken = median(seconds(lambda: kept.encode(Known(), items)) for _ in range(3))
            return round(taken * 100_000 / len(items), 3)

        of_texts = again(texts(arguments.rows, 60))
        of_files = again(files(folder / "files", arguments.files))
    table = Table("", "items a second, median", title=f"{arguments.items} texts of 60 words")
    for label, measured in taken.items():
        table.add_row(label, f"{arguments.items / median(measured):.1f}")
    Console(width=100).print(table)
    base = np.array(taken["library"])
    finish(
        {
            "encoder": round(float(np.median(np.array(taken["encoder"]) / base)), 4),
            "with_cache": round(float(np.median(np.array(taken["with the cache"]) / base)), 4),
            "second_run_seconds_per_100000": {"texts": of_texts, "files": of_files},
        },
        data="random words, a random model of MiniLM's size",
        settings={"device": arguments.device, "threads": arguments.threads},
        seeds=1,
    )


if __name__ == "__main__":
    main()

"""The demonstration corpus of the package, whose themes are known."""

import json
import lzma
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from octis_m3l.data.dataset import MultiviewDataset

LANGUAGES = ("en", "de", "fr")
PICTURES = "pictures"
_SENTENCES = 4
_TRAIN, _VALIDATION = 0.7, 0.1
_SIDE, _DRAWN_SIDE, _INSET_SIDE, _MARGIN, _FRAME = 64, 256, 92, 8, 5
_WHITE = (250, 250, 248)


@dataclass(frozen=True)
class Theme:
    """A theme: its typical words, and sentences that are translations of each other."""

    name: str
    words: dict[str, tuple[str, ...]]
    sentences: tuple[dict[str, str], ...]


@lru_cache(maxsize=1)
def demo_themes() -> tuple[Theme, ...]:
    """Return the themes of the corpus."""
    content = json.loads(_asset("demo_texts.json"))
    return tuple(
        Theme(
            theme["name"],
            {language: tuple(theme["words"][language]) for language in LANGUAGES},
            tuple(theme["sentences"]),
        )
        for theme in content["themes"]
    )


def demo_corpus(tuples: int = 400, *, missing: float = 0.15, seed: int = 0) -> MultiviewDataset:
    """Return linked reports in three languages, each with a picture, some with a view missing.

    A report has four sentences: all of one theme, or three of one theme and one of another, which
    is then shown in a corner of the picture. The order of the sentences differs between the
    languages, as in comparable texts. There are 40 pictures of each theme; in corpora of more than
    400 tuples they repeat.

    Parameters
    ----------
    tuples : int
        Number of reports.
    missing : float
        Share of German and French reports and of pictures that are left out.
    seed : int
        Seed of the random choices.

    Returns
    -------
    MultiviewDataset
        Views 'en', 'de', 'fr' and 'pictures'; the label is the main theme; 70 % train, 10 %
        validation, 20 % test. ``metadata['themes']`` has the typical words of each theme.
    """
    random = np.random.default_rng(seed)
    themes = demo_themes()
    drawings = _drawings()
    # How far drawing the pictures of the corpus with seed 0 moved the generator of its texts.
    moves = drawings["generator"] if seed == 0 else []
    insets_used = dict.fromkeys(drawings["insets"], seed)
    columns: dict[str, list[Any]] = {name: [] for name in (*LANGUAGES, PICTURES)}
    for number in range(tuples):
        main = themes[number % len(themes)]
        other = themes[random.integers(len(themes))]
        mixed = other is not main and random.random() < 0.4
        sentences = _choose_sentences(main, _SENTENCES - mixed, random)
        if mixed:
            sentences += _choose_sentences(other, 1, random)
        for language in LANGUAGES:
            order = random.permutation(len(sentences))
            dropped = language != LANGUAGES[0] and random.random() < missing
            text = " ".join(sentences[i][language] for i in order)
            columns[language].append(None if dropped else text)
        picture = demo_picture(
            main.name,
            seed + number // len(themes),
            other.name if mixed else None,
            insets_used[other.name],
        )
        insets_used[other.name] += mixed
        if number < len(moves):
            _move(random, *moves[number])
        columns[PICTURES].append(None if random.random() < missing else np.asarray(picture))
    place = random.permutation(tuples) / tuples
    return MultiviewDataset.from_lists(
        {language: columns[language] for language in LANGUAGES},
        images={PICTURES: columns[PICTURES]},
        partition=np.select(
            [place < _TRAIN, place < _TRAIN + _VALIDATION], ["train", "validation"], "test"
        ).tolist(),
        labels=[themes[number % len(themes)].name for number in range(tuples)],
        metadata={
            "name": "octis-m3l demo",
            "license": "MIT",
            "themes": {theme.name: theme.words for theme in themes},
        },
    )


def demo_picture(
    theme: str, number: int, other: str | None = None, other_number: int = 0
) -> Image.Image:
    """Return one of the pictures of a theme, with another theme in a corner if one is given."""
    scenes, insets = (_drawings()[kind] for kind in ("scenes", "insets"))
    image = _draw(scenes[theme][number % len(scenes[theme])], _DRAWN_SIDE)
    if other is not None:
        corner, commands = insets[other][other_number % len(insets[other])]
        far = _DRAWN_SIDE - _INSET_SIDE - _MARGIN
        place = (far if corner % 2 else _MARGIN, far if corner // 2 else _MARGIN)
        image.paste(_WHITE, place, _disc(_INSET_SIDE, 0))
        image.paste(_draw(commands, _INSET_SIDE), place, _disc(_INSET_SIDE, _FRAME))
    return image.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)


@lru_cache(maxsize=1)
def _drawings() -> dict[str, Any]:
    """Return what benchmarks/demo_pictures.py wrote."""
    content: dict[str, Any] = json.loads(lzma.decompress(_asset("demo_pictures.json.xz")))
    return content


def _asset(name: str) -> bytes:
    return files("octis_m3l.data").joinpath(name).read_bytes()


def _draw(commands: list[list[Any]], side: int) -> Image.Image:
    image = Image.new("RGB", (side, side))
    pen = ImageDraw.Draw(image)
    for shape, colour, numbers in commands:
        fill = tuple(colour)
        if shape == "gradient":
            *last, top, bottom = numbers
            box = (0, top, side, bottom)
            image.paste(fill, box)
            mask = Image.linear_gradient("L").resize((side, bottom - top))
            image.paste(tuple(last), box, mask)
        elif shape == "line":
            pen.line(numbers[1:], fill, width=numbers[0], joint="curve")
        elif shape == "rounded":
            pen.rounded_rectangle(numbers[1:], numbers[0], fill)
        else:
            {"rectangle": pen.rectangle, "ellipse": pen.ellipse, "polygon": pen.polygon}[shape](
                numbers, fill
            )
    return image


def _disc(side: int, frame: int) -> Image.Image:
    mask = Image.new("L", (side, side))
    end = side - 1 - frame
    ImageDraw.Draw(mask).ellipse((frame, frame, end, end), 255)
    return mask


def _choose_sentences(
    theme: Theme, count: int, random: np.random.Generator
) -> list[dict[str, str]]:
    chosen = random.choice(len(theme.sentences), size=count, replace=False)
    return [theme.sentences[i] for i in chosen]


def _move(random: np.random.Generator, steps: int, is_buffered: int, buffer: int) -> None:
    """Move a generator on, and give it the half of a number that it had left over."""
    bits: Any = random.bit_generator
    bits.advance(steps)
    bits.state = bits.state | {"has_uint32": is_buffered, "uinteger": buffer}

"""What commands print: no control characters of others, help, mistakes in one line."""

import json
import subprocess
import sys
import unicodedata
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from shell import Refused, Run

import octis_m3l
from octis_m3l.cli.printing import Terminal, print_json, show
from octis_m3l.errors import DataError
from octis_m3l.metrics import METRICS
from octis_m3l.models import MODELS

HOSTILE = "a\x1b[31mb\x9bc\x07\r\u2028\u202ed"
SHOWN = r"a\u001b[31mb\u009bc\u0007\u000d\u2028\u202ed"


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters(), max_size=40))
def test_output_has_no_control_characters(text: str) -> None:
    file = StringIO()
    terminal = Terminal(file=file, width=400, color_system=None)
    table = Table("words")
    table.add_row(Text(text))
    table.add_row(escape(text))
    terminal.print(table)
    terminal.say(text)
    shown = file.getvalue().replace("\n", "")
    assert not {unicodedata.category(character) for character in shown} & {"Cc", "Cs", "Zl", "Zp"}
    assert not set("\u202a\u202b\u202d\u202e\u2066\u2067\u2068") & set(shown)


def test_control_characters_are_shown_escaped(
    run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hebrew = "\u200fשלום עולם"
    file = StringIO()
    Terminal(file=file, width=200).print(hebrew, HOSTILE, markup=False)
    assert file.getvalue() == f"{hebrew} {SHOWN}\n"
    print_json({"a": HOSTILE})
    assert json.loads(out := capsys.readouterr().out) == {"a": HOSTILE}
    assert out == f'{{"a": "{SHOWN}"}}\n'.replace("\\u000d", "\\r")
    show({"a": [HOSTILE]}, False)
    assert "\x1b" not in capsys.readouterr().out
    assert str(DataError(f"view '{HOSTILE}'")) == f"view '{SHOWN}'"
    for command in (("info", tmp_path / HOSTILE), ("train", tmp_path / HOSTILE, "--out", "x")):
        code, _, err = run(*command)
        assert code == 1
        assert not {"\x1b", "\x9b", "\r", "\u202e"} & {*err}
    monkeypatch.chdir(tmp_path)
    assert run("info", "no\nerror: all is lost")[2].count("error: ") == 2


MISTAKES = [
    ("evaluate nowhere", "nowhere is no folder: expected a folder that a model was saved"),
    ("info .", "holds neither a data set nor a model"),
    ("info --verify", "--verify: name the folder whose files are to be verified"),
    ("infer MODEL x --view fr", "unknown view 'fr'."),
    ("infer MODEL x", "--view VIEW, or for a table --text VIEW=COLUMN."),
    ("build no.csv --out x --text title", "--text title: expected VIEW=COLUMN, as en=title_en."),
    ("infer MODEL gone.csv --view en", "there is no file gone.csv."),
    ("infer MODEL gone.txt --view en", "gone.txt can't be read"),
    ("infer MODEL gone.png --view photos", "1 of 1 pictures are missing"),
    ("infer MODEL a.csv --text en=a --text de=b", "--text is given 2 times; infer one view"),
    ("build gone.csv --out new --text en=a --encoder en=clip:b", "unknown encoder 'clip'."),
    ("build gone.csv --out CORPUS --text en=a", "and is not empty"),
    ("build no.csv --text en=a --out x", "no.csv can't be read"),
    ("build no.csv --out x", "name at least one text column"),
    ("build --out x", "give one of the two: a table or a folder, or --octis VIEW=FOLDER"),
    ("build a.csv --octis en=a --out x", "give one of the two: a table or a folder, or --octis"),
    ("build a.csv --linked-by-row --out x", "--linked-by-row goes with --octis VIEW=FOLDER only"),
    ("build no.csv --out x --text en=a --set tokenizer=jieba", "it has an option of its own"),
    ("build no.csv --out x --text en=a --set stopwords=false", "Did you mean 'stop_words'?"),
    ("build no.csv --out x --text en=a --no-cache", "--no-cache goes with --encoder VIEW=ENCODER"),
    (
        "build no.csv --out x --text en=a --without-vector zeros",
        "--without-vector goes with --word-vectors VIEW=FILE only.",
    ),
    ("models glotm", "unknown model 'glotm'. Did you mean 'gloctm'?"),
    ("train CORPUS --out MODEL", "exists already and is not empty"),
    ("train CORPUS --out new --model m3l", "Did you mean 'm3l-contrast'?"),
    ("train CORPUS --out new --set epoch=3", "Did you mean 'epochs'?"),
    ("train CORPUS --out new --set epochs", "expected NAME=VALUE"),
    ("train CORPUS --out new --views en,xx", "unknown view 'xx'."),
    ("train CORPUS --out new --set num_topics=1", "num_topics=1: "),
    (
        "train CORPUS --out new --topics 9 --set num_topics=9",
        "--set num_topics=9: num_topics is given by its own option too.",
    ),
    ("train CORPUS --out new --top-words 5000", "top_words=5000: expected 1"),
    (
        "train CORPUS --out new --model pltm --device cuda",
        "pltm computes on the processor only: device='cuda' would have no effect",
    ),
    ("evaluate MODEL --metric mmr", "Did you mean 'mrr'?"),
    ("topics MODEL --picture topics.xyz", "pictures cannot be written in this format; use .png"),
    ("tune CORPUS --out new --gpus 1", "gpus=1: only Ray assigns GPUs (--ray)"),
    ("tune CORPUS --out new --search temprature", "Did you mean 'temperature'?"),
    ("tune CORPUS --out new --metric mmr", "unknown metric 'mmr'. Did you mean 'mrr'?"),
    ("tune CORPUS --out new --model m3l", "unknown model 'm3l'. Did you mean 'm3l-contrast'?"),
    ("tune CORPUS --out new --set temprature=1", "'temprature'"),
    ("tune CORPUS --out new --surrogate FR", "surrogate_model='FR': it should be"),
    ("tune CORPUS --out new --space gone.yaml", "gone.yaml can't be read as YAML"),
    ("tune CORPUS --out new --picture surface.xyz", "written in this format; use .png"),
    ("tune CORPUS --out new --device cdua", "device='cdua' is none that torch knows"),
    (
        "tune CORPUS --out new --search num_topics --topics 5",
        "num_topics is to be searched, and fixed at 5",
    ),
    ("tune CORPUS --out new --views en", "'mrr' applies to no view and no pair"),
]


@pytest.mark.parametrize(("command", "message"), MISTAKES)
def test_mistakes_are_one_line_and_leave_nothing_behind(
    refused: Refused,
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    places = {"MODEL": trained / "model", "CORPUS": trained / "corpus"}
    refused(message, *[places.get(word, word) for word in command.split()])
    assert not list(tmp_path.iterdir())


def test_arguments_that_cannot_be_parsed_exit_with_2(run: Run) -> None:
    assert run("train", "--nonsense")[0] == 2
    assert run("train", "corpus", "--out", "new", "--topics", "1")[0] == 2
    assert run("topics", "model", "--documents", "-1")[0] == 2


def test_models_and_their_hyperparameters_are_listed(run: Run) -> None:
    listed = run("models")[1]
    assert all(name in listed for name in MODELS)
    assert "hyperparameters of one: octis-m3l models MODEL" in " ".join(listed.split())
    assert "λ_CKA, weight of CKA" in run("models", "gloctm")[1]
    described = json.loads(run("models", "gloctm", "--json")[1])["gloctm"]
    assert described["class"] == "GloCTM"
    neighbours = described["hyperparameters"]["neighbours"]
    assert (neighbours["default"], neighbours["range"]) == (3, "whole number ≥ 0")
    assert neighbours["what"].startswith("k, neighbours of a word")


def test_help_names_every_model_and_metric(run: Run) -> None:
    shown = run("tune", "--help")[1]
    assert all(name in shown for name in (*MODELS, *METRICS))


def test_commands_that_only_describe_import_no_library_that_trains(
    trained: Path, tmp_path: Path
) -> None:
    commands = [
        ["--version"],
        ["models"],
        ["datasets", "list", "--folder", str(tmp_path)],
        ["info", str(trained / "model")],
    ]
    code = (
        "import json, sys\n"
        "from typer.testing import CliRunner\n"
        "from octis_m3l.cli import app\n"
        f"found = [CliRunner().invoke(app, command) for command in {commands!r}]\n"
        "print(json.dumps([[(one.exit_code, one.output) for one in found], list(sys.modules)]))\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr.decode()
    answers, imported = json.loads(ended.stdout)
    assert [code for code, _ in answers] == [0, 0, 0, 0], answers
    version, models, datasets, info = (output for _, output in answers)
    assert version == f"octis-m3l {octis_m3l.__version__}\n"
    assert "M3L-Contrast: aligned topics of any number of languages" in " ".join(models.split())
    assert "bible-passages" in datasets
    assert "choices: {encoder: 'use+clsi, since " in info
    slow = {"torch", "sentence_transformers", "transformers", "sklearn", "gensim", "pandas"}
    assert not slow & {*imported}

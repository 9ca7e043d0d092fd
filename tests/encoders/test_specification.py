"""Encoders named by strings."""

import re
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import raises

from octis_m3l.encoders import (
    ClipEncoder,
    PictureEncoder,
    SentenceEncoder,
    StaticEncoder,
    TimmEncoder,
    encoder_from,
)
from octis_m3l.encoders.pretrained import PretrainedEncoder
from octis_m3l.errors import SettingsError

NAMES = st.text(min_size=1, max_size=20) | st.sampled_from(
    ["org/model", "/a folder/with?marks&more", "C:\\models\\x", "100%", "50%25", "größe/語"]
)
SIZES = st.just("auto") | st.integers(1, 10**6)
PRECISIONS = st.sampled_from(["auto", "float32", "float16", "bfloat16"])
DEVICES = st.sampled_from(["auto", "cpu", "cuda:1", ["cpu"], ["cuda:0", "cuda:1"]])
LENGTHS = st.none() | st.integers(1, 10**6)
WORDS = st.none() | st.text(max_size=12) | st.sampled_from(["none", "None", "query: ", "a&b=c?%20"])

COMMON = {"batch_size": SIZES, "precision": PRECISIONS, "normalise": st.booleans()}
OTHERS = NAMES.filter(lambda name: not name.startswith(("hf-hub:", "local-dir:")))
SIDES = st.sampled_from(["image", "text"])
HOW_LONG = st.sampled_from(["truncate", "mean"])
ENCODERS = st.one_of(
    st.builds(
        SentenceEncoder,
        NAMES,
        revision=WORDS,
        max_length=LENGTHS,
        long_texts=HOW_LONG,
        prompt=WORDS,
        device=DEVICES,
        **COMMON,
    ),
    st.builds(StaticEncoder, NAMES, revision=WORDS, max_length=LENGTHS, normalise=st.booleans()),
    st.builds(ClipEncoder, OTHERS, NAMES, side=SIDES, **COMMON),
    st.builds(ClipEncoder, NAMES.map("hf-hub:{}".format), side=st.just("text")),
    st.builds(TimmEncoder, NAMES, weights=st.none() | NAMES, **COMMON),
)


def everything(encoder: PretrainedEncoder) -> dict[str, Any]:
    return {name: value for name, value in vars(encoder).items() if not name.startswith("_")}


@settings(max_examples=100, deadline=None)
@given(ENCODERS)
def test_a_specification_makes_the_encoder_again(encoder: PretrainedEncoder) -> None:
    found: Any = encoder_from(encoder.specification)
    assert type(found) is type(encoder)
    assert everything(found) == everything(encoder)
    assert found.specification == encoder.specification
    # Names are fit for files.
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", encoder.name)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("sentence-transformers:LaBSE", SentenceEncoder("LaBSE")),
        (
            "sentence-transformers:org/name?max_length=128&long_texts=mean",
            SentenceEncoder("org/name", max_length=128, long_texts="mean"),
        ),
        (
            "sentence-transformers:a/b?normalise=true&device=cuda:0,cuda:1&prompt=query: ",
            SentenceEncoder("a/b", device=["cuda:0", "cuda:1"], prompt="query: ", normalise=True),
        ),
        ("model2vec:a/b?max_length=none", StaticEncoder("a/b", max_length=None)),
        ("open-clip:ViT-B-32/openai", ClipEncoder("ViT-B-32", "openai", side="image")),
        (
            "open-clip-text:ViT-B-32//models/w.safetensors?batch_size=8",
            ClipEncoder("ViT-B-32", "/models/w.safetensors", side="text", batch_size=8),
        ),
        ("open-clip:hf-hub:org/name", ClipEncoder("hf-hub:org/name", side="image")),
        ("timm:resnet50.a1_in1k", TimmEncoder()),
        ("timm:resnet18?weights=/a.safetensors", TimmEncoder("resnet18", weights="/a.safetensors")),
    ],
)
def test_strings_for_the_shell(text: str, wanted: PretrainedEncoder) -> None:
    found: Any = encoder_from(text)
    assert type(found) is type(wanted)
    assert everything(found) == everything(wanted)
    assert wanted.specification == text
    # As a list of one device used to be written, and as several may be.
    for devices, read in (("cpu,", "cpu"), ("cpu, cpu", ["cpu", "cpu"])):
        several: Any = encoder_from(f"sentence-transformers:a?device={devices}")
        assert several.device == read
    # An encoder with a default model needs no name.
    assert everything(encoder_from("timm?batch_size=3")) == everything(TimmEncoder(batch_size=3))


def test_the_picture_encoder_has_its_name_alone() -> None:
    assert encoder_from("picture") == PictureEncoder()
    assert PictureEncoder().specification == "picture"
    assert re.fullmatch("[0-9a-f]{64}", PictureEncoder().fingerprint())


def test_options_beside_the_string_come_first() -> None:
    found = encoder_from("model2vec:a/b?max_length=3&normalise=true", max_length=5, progress=True)
    assert isinstance(found, StaticEncoder)
    assert (found.max_length, found.normalise, found.progress) == (5, True, True)
    message = "unknown option 'normalize'. Did you mean 'normalise'?"
    raises(SettingsError, message, lambda: encoder_from("timm:a", normalize=True))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "sentence-transformer:a",
            "unknown encoder 'sentence-transformer'. Did you mean 'sentence-",
        ),
        ("lsa", "'lsa' is fitted on the training items when a model is trained: give it to train"),
        ("use+clsi", "'use+clsi' is fitted on the training items when a model is trained: give"),
        ("bert", "unknown encoder 'bert'. Known: e5, model2vec, open-clip, open-clip-text, pict"),
        ("model2vec:", "'model2vec:' names no model; expected model2vec:NAME."),
        ("model2vec", "'model2vec' names no model; expected model2vec:NAME."),
        (
            "model2vec:a?max_lenght=3",
            "unknown option 'max_lenght'. Did you mean 'max_length'? Known: ",
        ),
        (
            "model2vec:a?max_length",
            "option 'max_length' has no value; write max_length=VALUE.",
        ),
        ("model2vec:a?max_length=many", "max_length=many: it should be a valid integer"),
        ("model2vec:a?max_length=0", "max_length=0: it should be greater than 0."),
        ("model2vec:a?model=b", "unknown option 'model'."),
        (
            "open-clip:ViT-B-32",
            "ClipEncoder: ViT-B-32 without pretrained would have random weig",
        ),
        ("open-clip:a/b?side=text", "unknown option 'side'."),
        ("picture:a", "'picture:a': the encoder 'picture' has neither names nor options."),
        ("picture?a=b", "'picture?a=b': the encoder 'picture' has neither names nor options."),
    ],
)
def test_what_is_misspelt_is_an_error(text: str, message: str) -> None:
    raises(SettingsError, message, encoder_from, text)


def test_no_library_is_needed_before_something_is_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("sentence_transformers", "model2vec", "open_clip", "timm"):
        monkeypatch.setitem(sys.modules, module, None)
    for text in ("sentence-transformers:a/b", "model2vec:a/b", "open-clip:a/b", "timm:a"):
        encoder: Any = encoder_from(text)
        assert encoder.specification == text
        assert encoder.name
        assert encoder.state()[0] == {}

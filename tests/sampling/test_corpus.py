"""Linked documents as one stream of tokens, beside slow loops."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octis_m3l.data.views import TextView
from octis_m3l.sampling import LinkedCorpus

from .corpora import drawn, linked, tokens, view

quick = settings(max_examples=60, deadline=None)


@st.composite
def pieces(draw: st.DrawFn) -> tuple[list[TextView], dict[str, Any], dict[str, Any], int]:
    """Draw views, some of their items in any order, and the document of each."""
    count = draw(st.integers(1, 5))
    views, rows, documents = [], {}, {}
    for number in range(draw(st.integers(1, 3))):
        name, size = f"language{number}", draw(st.integers(1, 4))
        word = st.integers(0, size - 1)
        texts = draw(st.lists(st.lists(word, max_size=4), max_size=5))
        views.append(view(name, texts, size))
        taken = draw(st.permutations(range(len(texts))).map(lambda order: order[:4]))
        rows[name] = np.array(taken, np.int64)
        place = st.integers(0, count - 1)
        owners = draw(st.lists(place, min_size=len(taken), max_size=len(taken)))
        documents[name] = np.array(owners, np.int64)
    return views, rows, documents, count


@quick
@given(pieces())
def test_it_is_what_a_loop_over_items_gives(
    given: tuple[list[TextView], dict[str, Any], dict[str, Any], int],
) -> None:
    views, rows, documents, count = given
    corpus = LinkedCorpus.of_views(views, rows, documents, count)
    expected = []
    for document in range(count):
        for language, one in enumerate(views):
            for row, owner in zip(rows[one.name], documents[one.name], strict=True):
                if owner == document:
                    text = one.token_ids[one.offsets[row] : one.offsets[row + 1]]
                    expected += [(document, language, word) for word in text.tolist()]
    assert tokens(corpus) == expected
    assert len(corpus) == count
    assert corpus.languages == tuple(one.name for one in views)
    assert corpus.vocabularies.tolist() == [len(one.vocabulary) for one in views]
    assert (np.diff(corpus.segment_starts) > 0).all()
    lengths = Counter(document for document, _, _ in expected)
    assert np.diff(corpus.starts).tolist() == [lengths[document] for document in range(count)]


def test_no_tokens_at_all() -> None:
    corpus = linked({"en": [[], []], "de": [[], []]}, [2, 3])
    assert tokens(corpus) == []
    assert corpus.starts.tolist() == [0, 0, 0]
    divided, blocks = corpus.in_blocks(2)
    assert tokens(divided) == []
    assert len(blocks) == 0


@quick
@given(seed=st.integers(0, 2**32), count=st.integers(1, 6))
def test_blocks_divide_words_and_leave_documents_alone(seed: int, count: int) -> None:
    corpus = drawn(seed, words=(4, 1, 12))
    divided, blocks = corpus.in_blocks(count)
    assert Counter(tokens(divided)) == Counter(tokens(corpus))
    np.testing.assert_array_equal(divided.starts, corpus.starts)
    assert (np.diff(divided.segment_starts) > 0).all()
    assert len(blocks) == len(divided.segment_languages)
    of_word: dict[int, int] = {}
    sizes = [0] * count
    for segment, block in enumerate(blocks.tolist()):
        begin, end = divided.segment_starts[segment : segment + 2]
        for word in divided.words[begin:end].tolist():
            assert of_word.setdefault(word, block) == block
            sizes[block] += 1
    commonest = max(Counter(corpus.words.tolist()).values())
    assert max(sizes) - min(sizes) <= commonest


@pytest.mark.parametrize("count", [2, 3, 8])
def test_blocks_are_balanced(count: int) -> None:
    common = 1 / (np.arange(500) + 10)
    random = np.random.default_rng(0)
    corpus = linked({"en": random.choice(500, (20, 200), p=common / common.sum())}, [500])
    divided, blocks = corpus.in_blocks(count)
    sizes = np.bincount(blocks, weights=np.diff(divided.segment_starts), minlength=count)
    np.testing.assert_allclose(sizes, len(corpus.words) / count, rtol=0.1)

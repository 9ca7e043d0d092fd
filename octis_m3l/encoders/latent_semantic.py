"""Latent semantic analysis of one language, or of several languages from linked documents."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, compress
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, csr_matrix, hstack
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfTransformer

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.item_checks import as_items
from octis_m3l.data.text import EncodedTexts, TextPreprocessor
from octis_m3l.data.views import TextView
from octis_m3l.devices import on_threads
from octis_m3l.errors import DataError

_ROUNDS = 3
_RIDGE = 0.1
_LEAST_SIZE = 0.4
_PART = "\x01"  # in front of a part of a word; words have no control characters


@dataclass(frozen=True, eq=False)
class LatentSemanticEncoder:
    """Encodes a text by its TF-IDF weights and a linear map that was fitted.

    Parameters
    ----------
    name : str
        'lsa', 'clsi' or 'word-vectors'.
    preprocessor : TextPreprocessor
        Splits texts into words.
    vocabulary : tuple of str
        The known terms: words, and parts of words; more than the words of a topic model.
    idf, components : array of float32 (terms), array of float32 (terms × dimensions)
        Inverse document frequencies in the training documents, and the linear map.
    parts : bool
        Whether the parts of words are counted too.

    References
    ----------
    Deerwester et al. (1990); Dumais et al. (1997) for several languages.
    """

    kind: ClassVar[str] = "latent-semantic"
    reads: ClassVar[Literal["text", "picture"]] = "text"

    name: str
    preprocessor: TextPreprocessor
    vocabulary: tuple[str, ...]
    idf: NDArray[np.float32]
    components: NDArray[np.float32]
    parts: bool = False

    @property
    def dimensions(self) -> int:
        """The length of its vectors."""
        return int(self.components.shape[1])

    def encode(self, items: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of raw texts (texts × dimensions): zeros, if no term is known."""
        texts = as_items(items, "texts to encode")
        if not texts:
            return np.zeros((0, self.dimensions), np.float32)
        words = tuple(term for term in self.vocabulary if not term.startswith(_PART))
        counts = _counts(self.preprocessor.encoded(texts, words), self.vocabulary, self.parts)
        return np.asarray(_weighted(counts, self.idf) @ self.components, np.float32)

    def with_tokenizer(self, tokenizer: Callable[[str], Sequence[str]]) -> Self:
        """Return the encoder with a tokenizer of your own, which is not saved with its settings."""
        return replace(self, preprocessor=self.preprocessor.with_tokenizer(tokenizer))

    def of_words(self) -> Self:
        """Return the encoder that counts words alone, since different words share parts."""
        return replace(self, parts=False)

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return its arrays and its settings."""
        settings = {
            "name": self.name,
            "preprocessor": self.preprocessor.as_dict(),
            "vocabulary": list(self.vocabulary),
            "parts": self.parts,
        }
        return {"idf": self.idf, "components": self.components}, settings

    @classmethod
    def restore(cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> Self:
        """Return the encoder with the arrays and settings that `state` returned."""
        return cls(
            settings["name"],
            TextPreprocessor.from_dict(settings["preprocessor"]),
            tuple(settings["vocabulary"]),
            arrays["idf"],
            arrays["components"],
            bool(settings.get("parts")),  # version 0.1 had none
        )


def fit_per_language(
    dataset: MultiviewDataset,
    view: str,
    *,
    dimensions: int = 150,
    terms: int = 40_000,
    seed: int = 0,
) -> LatentSemanticEncoder:
    """Fit LSA on the training documents of one view.

    Terms are words, and the parts of words: every three successive characters, with a mark at the
    start and end of the word. Numbers and the language's stop words are counted too, whatever the
    preprocessing of the view removes; stop words that were given explicitly are not.

    Parameters
    ----------
    dataset : MultiviewDataset
        The data.
    view : str
        A text view.
    dimensions : int
        At most; fewer if there are fewer documents or terms.
    terms : int
        Number of terms to keep, the most frequent ones that several documents have.
    seed : int
        Of the truncated singular value decomposition.
    """
    fitted, weighted = _fit_terms(dataset.text_view(view), terms)
    return replace(fitted, components=_components(weighted, dimensions, seed))


def fit_cross_language(
    dataset: MultiviewDataset,
    views: Sequence[str],
    *,
    dimensions: int = 150,
    terms: int = 40_000,
    seed: int = 0,
) -> dict[str, LatentSemanticEncoder]:
    """Fit cross-language LSI: LSA on the languages of each training tuple side by side.

    `fit_per_language` says what terms are. They and their frequencies come from all training
    documents, the map from the training tuples with two languages or more. If some of
    these lack a language, the map is refitted by alternating least squares over the languages that
    each tuple has, since gaps would look like directions in which languages differ. A document's
    vector is estimated by least squares from its own language alone, and divided by the number of
    languages, so that it is about as long as a projection. Every estimate has a ridge penalty of a
    tenth of the map's mean square.

    Parameters
    ----------
    dataset : MultiviewDataset
        Data in which a training tuple links two of the views.
    views : sequence of str
        Text views.
    dimensions, terms, seed
        As for `fit_per_language`; `terms` for each view.
    """
    check_linked(dataset, views)
    tuples = dataset.partition_tuples("train")
    blocks, fitted, present = [], {}, np.zeros((len(tuples), len(views)), bool)
    for number, name in enumerate(views):
        text = dataset.text_view(name)
        fitted[name], weighted = _fit_terms(text, terms)
        place = np.searchsorted(tuples, dataset.tuples(name)[text.rows("train")])
        # A language with several documents in a tuple is represented by their mean.
        share = 1.0 / np.bincount(place, minlength=len(tuples))[place]
        mean = coo_array((share, (place, np.arange(len(place)))), (len(tuples), len(place)))
        blocks.append(csr_array(mean) @ weighted)
        present[place, number] = True
    linked = present.sum(axis=1) >= min(2, len(views))
    blocks, present = [csr_array(block[linked]) for block in blocks], present[linked]
    with on_threads(0, len(present) * dimensions):
        parts = _fitted(blocks, present, dimensions, seed)
        maps = [_solved(part.T @ part, part) / len(views) for part in parts]
    return {
        name: replace(
            fitted[name], name="clsi", components=np.ascontiguousarray(map_of_words, np.float32)
        )
        for name, map_of_words in zip(views, maps, strict=True)
    }


def _fitted(
    blocks: Sequence["csr_array[Any]"], present: NDArray[np.bool_], dimensions: int, seed: int
) -> list[NDArray[Any]]:
    """Return the words' vectors of each language, orthonormal over all languages."""
    ends = np.cumsum([block.shape[1] for block in blocks])[:-1]
    words = csr_array(hstack(blocks))
    parts = np.split(_components(words, dimensions, seed), ends)
    patterns, pattern_of = np.unique(present, axis=0, return_inverse=True)
    for _ in range(0 if present.all() else _ROUNDS):
        squares = np.stack([part.T @ part for part in parts])
        latent = np.asarray(words @ np.concatenate(parts))
        for number, pattern in enumerate(patterns):
            rows = pattern_of.ravel() == number
            latent[rows] = _solved(squares[pattern].sum(axis=0), latent[rows])
        found = [
            _solved(latent[has].T @ latent[has], block.T @ latent)
            for block, has in zip(blocks, present.T, strict=True)
        ]
        whole, sizes, _ = np.linalg.svd(np.concatenate(found), full_matrices=False)
        # Smaller directions tell only which languages are missing.
        parts = np.split(whole[:, sizes >= _LEAST_SIZE * sizes[0]], ends)
    # The vectors of words of no linked tuple are rounding errors.
    linked = np.split(np.asarray(words.sum(axis=0) > 0), ends)
    return [part * known[:, None] for part, known in zip(parts, linked, strict=True)]


def _solved(squares: NDArray[Any], rows: NDArray[Any]) -> NDArray[Any]:
    """Return rows · (squares + ridge)⁻¹."""
    size = len(squares)
    ridge = (_RIDGE * np.trace(squares) / size) or 1.0
    return np.asarray(np.linalg.solve(squares + ridge * np.eye(size), rows.T).T)


def from_word_vectors(dataset: MultiviewDataset, view: str) -> LatentSemanticEncoder:
    """Return the encoder that averages a document's word vectors, weighted by TF-IDF.

    Parameters
    ----------
    dataset : MultiviewDataset
        The data; word frequencies come from its training documents.
    view : str
        A text view with word vectors.
    """
    text = dataset.text_view(view)
    vectors = given_word_vectors(dataset, view)
    preprocessor = text.preprocessor or TextPreprocessor.of_vocabulary(
        text.vocabulary, text.language
    )
    idf = _idf(text.bag_of_words[text.rows("train")])
    components = np.ascontiguousarray(vectors, np.float32)
    return LatentSemanticEncoder("word-vectors", preprocessor, text.vocabulary, idf, components)


def given_word_vectors(dataset: MultiviewDataset, view: str) -> NDArray[Any]:
    """Return a view's word vectors, or raise DataError if it has none."""
    vectors = dataset.text_view(view).word_vectors
    if vectors is None:
        raise DataError(
            f"view '{view}' has no word vectors; attach them with dataset.with_word_vectors "
            "(octis-m3l build --word-vectors VIEW=FILE), or use another encoder."
        )
    return vectors


def check_linked(dataset: MultiviewDataset, views: Sequence[str]) -> None:
    """Raise DataError if there are several views and no training tuple links two of them."""
    if len(views) > 1 and not languages_are_linked(dataset, views):
        raise DataError(
            f"cross-language LSI needs training tuples that link {' and '.join(views)}; there is "
            "none. Use encoder='lsa', or give embeddings."
        )


def languages_are_linked(dataset: MultiviewDataset, views: Sequence[str]) -> bool:
    """Return whether a training tuple contains items of two of the views."""
    of_view = [np.unique(dataset.tuples(n)[dataset.view(n).rows("train")]) for n in views]
    _, members = np.unique(np.concatenate(of_view), return_counts=True)
    return bool((members > 1).any())


def _fit_terms(view: TextView, terms: int) -> tuple[LatentSemanticEncoder, "csr_array[Any]"]:
    """Return an encoder that only lacks its map, and the TF-IDF weights of training documents."""
    texts = view.items(view.rows("train"))
    if not len(texts):
        raise DataError(
            f"view '{view.name}' has no training item to fit an encoder on; every view needs some "
            "items in the training partition."
        )
    known: tuple[str, ...] = ()
    preprocessor = view.preprocessor
    if view.texts is None:
        # Rare words are split as they will be in new texts.
        documents = (view.bag_of_words[view.rows("train")] > 0).sum(axis=0)
        several = documents > 1
        known = tuple(compress(view.vocabulary, several if several.sum() > 1 else documents))
        preprocessor = TextPreprocessor.of_vocabulary(known, view.language)
    elif preprocessor is None:
        preprocessor = TextPreprocessor(language=view.language, stop_words=False)
    own = False if preprocessor.stop_words is True else preprocessor.stop_words
    preprocessor = replace(preprocessor, keep_numbers=True, stop_words=own)
    encoded = preprocessor.encoded(texts, known, view.name)
    if not encoded.words:
        raise DataError(
            f"view '{view.name}': no training text has a word that an encoder could be fitted on; "
            "give other texts."
        )
    found = tuple(sorted({term for word in encoded.words for term in _terms(word, parts=True)}))
    counts = _counts(encoded, found, parts=True)
    total, documents = counts.sum(axis=0), (counts > 0).sum(axis=0)
    is_word = np.array([term[0] != _PART for term in found])
    # Few short texts may have hardly a word in common.
    several = documents >= min(2, len(texts))
    kept = np.flatnonzero(several if (several & is_word).sum() > 1 else documents)
    kept = np.sort(kept[np.argsort(-total[kept], kind="stable")][:terms])
    counts, vocabulary = counts[:, kept], tuple(found[number] for number in kept)
    idf, no_map = _idf(counts), np.zeros((len(vocabulary), 1), np.float32)
    encoder = LatentSemanticEncoder("lsa", preprocessor, vocabulary, idf, no_map, parts=True)
    return encoder, _weighted(counts, idf)


def _terms(word: str, parts: bool) -> list[str]:
    """Return the terms of a word: itself, and its parts."""
    whole = f"_{word}_"
    return [word, *(_PART + whole[start : start + 3] for start in range(len(word) * parts))]


def _components(matrix: "csr_array[Any]", dimensions: int, seed: int) -> NDArray[np.float32]:
    """Return the map of a truncated SVD (terms × dimensions)."""
    if matrix.shape[1] == 1:
        return np.ones((1, 1), np.float32)
    possible = max(1, min(dimensions, min(matrix.shape) - 1))
    with on_threads(0, matrix.shape[0] * possible):
        decomposition = TruncatedSVD(possible, random_state=seed).fit(csr_matrix(matrix))
    return np.ascontiguousarray(decomposition.components_.T, np.float32)


def _counts(texts: EncodedTexts, vocabulary: tuple[str, ...], parts: bool) -> "csr_array[Any]":
    """Return how often each document has each term (documents × terms)."""
    number = {term: n for n, term in enumerate(vocabulary)}
    of_words = [[number[t] for t in _terms(w, parts) if t in number] for w in texts.words]
    offsets = np.cumsum([0, *map(len, of_words)])
    terms = np.fromiter(chain.from_iterable(of_words), np.int64, offsets[-1])
    shape = len(texts.words), len(vocabulary)
    terms_of_words = csr_array((np.ones(len(terms)), terms, offsets), shape=shape)
    shape = len(texts.offsets) - 1, len(texts.words)
    words = csr_array((np.ones(len(texts.token_ids)), texts.token_ids, texts.offsets), shape=shape)
    counts = csr_array(words @ terms_of_words)
    counts.sort_indices()
    return counts


def _idf(counts: "csr_array[Any]") -> NDArray[np.float32]:
    transformer = TfidfTransformer(sublinear_tf=True).fit(csr_matrix(counts))
    return np.asarray(transformer.idf_, np.float32)


def _weighted(counts: "csr_array[Any]", idf: NDArray[np.float32]) -> "csr_array[Any]":
    """Return the TF-IDF weights of documents."""
    transformer = TfidfTransformer(sublinear_tf=True)
    transformer.idf_ = idf.astype(np.float64)
    return csr_array(transformer.transform(csr_matrix(counts)))

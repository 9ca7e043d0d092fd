"""New items: how they are given, and that the answer for one does not depend on others."""

from typing import Any

import numpy as np
import pytest

from octis_m3l.errors import DataError

from .base import Contract


class InferenceContract(Contract):
    """What a model promises of new items."""

    def test_infers_new_texts(self, trained: Any, texts: list[str]) -> None:
        theta = trained.infer(texts, "en")
        assert theta.shape == (len(texts), 4)
        assert theta.dtype == np.float32
        np.testing.assert_allclose(theta.sum(axis=1), 1, atol=1e-5)
        assert theta.min() >= 0
        np.testing.assert_array_equal(trained.infer(texts, "en"), theta)
        np.testing.assert_array_equal(trained.transform(texts), theta)
        both = trained.transform({"en": texts, "de": ["de_sea_1 de_sea_2"]})
        np.testing.assert_array_equal(both["en"], theta)
        assert both["de"].shape == (1, 4)
        assert trained.infer([], "en").shape == (0, 4)

    def test_answer_does_not_depend_on_neighbours(self, trained: Any, texts: list[str]) -> None:
        theta = trained.infer(texts, "en")
        for row, text in enumerate(texts):
            np.testing.assert_allclose(trained.infer([text], "en")[0], theta[row], atol=1e-6)
        np.testing.assert_allclose(trained.infer(texts[::-1], "en")[::-1], theta, atol=1e-6)

    @pytest.mark.parametrize("given", ["en_sea_1", b"sea", {"doc": "en_sea_1"}, {"en_sea_1"}, 3])
    def test_one_item_is_not_a_list(self, trained: Any, given: Any) -> None:
        message = f"view 'en': expected a list of items, given one {type(given).__name__}; put a"
        with pytest.raises(DataError, match=message):
            trained.infer(given, "en")
        with pytest.raises(DataError, match=message):
            trained.transform({"en": given})

    def test_unknown_view(self, trained: Any) -> None:
        with pytest.raises(DataError, match=r"model knows no view 'enn'\. Did you mean 'en'\?"):
            trained.infer(["en_sea_1"], "enn")

"""Errors about names."""

import pytest

from octis_m3l.errors import SettingsError, check_known


def test_an_unknown_name_comes_with_a_suggestion() -> None:
    check_known("mrr", ["mrr", "uap"], "metric")
    with pytest.raises(
        SettingsError, match=r"^unknown metric 'mr'\. Did you mean 'mrr'\? Known: mrr, uap\.$"
    ):
        check_known("mr", ["uap", "mrr"], "metric", SettingsError)
    with pytest.raises(SettingsError, match="unknown metric '3'"):
        check_known(3, ["mrr"], "metric", SettingsError)

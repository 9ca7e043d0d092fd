"""Errors about names and missing packages."""

import pytest

from octis_m3l.errors import MissingDependencyError, SettingsError, check_known, import_extra


def test_an_unknown_name_comes_with_a_suggestion() -> None:
    check_known("mrr", ["mrr", "uap"], "metric")
    with pytest.raises(
        SettingsError, match=r"^unknown metric 'mr'\. Did you mean 'mrr'\? Known: mrr, uap\.$"
    ):
        check_known("mr", ["uap", "mrr"], "metric", SettingsError)
    with pytest.raises(SettingsError, match="unknown metric '3'"):
        check_known(3, ["mrr"], "metric", SettingsError)


def test_a_missing_package_comes_with_the_command_that_installs_it() -> None:
    assert import_extra("json", "images").loads("1") == 1
    with pytest.raises(
        MissingDependencyError, match=r'the package nothing-1.*pip install "octis-m3'
    ):
        import_extra("nothing_1", "images", "nothing-1")

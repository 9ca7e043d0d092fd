"""The benchmark of the default's choices: what it measures, and what it would choose."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SOURCES = {"one": "alone", "two": "pair", "two-joined": "pair", "three": "last"}
# MRR, TU, NPMI and (corpus by corpus) what "sharp" changes in them.
SCORES = {
    "one": ((0.8, 0.8, 0.1), (-0.3, 0.0, 0.0)),
    "two": ((0.8, 0.8, 0.1), (0.1, 0.0, 0.1)),
    "two-joined": ((0.8, 0.7, 0.1), (0.0, 0.2, 0.1)),
    "three": ((0.9, 0.8, 0.2), (0.0, 0.2, 0.0)),
}


@pytest.fixture
def choices(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(BENCHMARKS)
    found = import_module("choices")
    monkeypatch.setattr(found, "SOURCES", SOURCES)
    return found


def lines_of(seeds: int = 2) -> dict[tuple[str, str, int], dict[str, Any]]:
    """Return runs with and without the change; seeds differ, and cancel out in the mean."""
    names, lines = ("mrr", "tu", "document-npmi"), {}
    for corpus, (scores, change) in SCORES.items():
        for seed in range(seeds):
            spread = (seed - (seeds - 1) / 2) / 100
            plain = {name: x + spread for name, x in zip(names, scores, strict=True)}
            sharp = {name: plain[name] + x for name, x in zip(names, change, strict=True)}
            lines[corpus, "m3l-contrast", seed] = {"scores": plain}
            lines[corpus, "sharp", seed] = {"scores": sharp}
    return lines


def test_variants_of_a_corpus_are_of_one_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    sources = import_module("choices").SOURCES
    assert {*sources.values()} == {
        *("bible-passages", "storybooks", "demo", "package-descriptions", "manual-pages"),
        *("program-messages", "desktop-help", "office-help"),
    }
    of_passages = [corpus for corpus, source in sources.items() if source == "bible-passages"]
    assert of_passages == [corpus for corpus in sources if corpus.startswith("bible-passages")]
    assert sources["storybooks-joined"] == "storybooks"


def test_sources_weigh_the_same_however_many_corpora_they_have(choices: Any) -> None:
    mrr = choices.mean_over_sources(lines_of(), "sharp", "mrr", [*SOURCES])
    assert mrr == pytest.approx((0.5 + (0.9 + 0.8) / 2 + 0.9) / 3)
    assert choices.mean_over_sources(lines_of(), "sharp", "mrr", ["two"]) == pytest.approx(0.9)


def test_worth_does_not_grow_with_uniqueness_above_its_mark(choices: Any) -> None:
    lines = lines_of(seeds=1)
    plain, sharp = (choices.worth(lines, label, ["three"]) for label in ("m3l-contrast", "sharp"))
    assert plain == sharp == pytest.approx(0.9 + 0.2 + 0.8)
    assert choices.worth(lines, "sharp", ["two-joined"]) == pytest.approx(0.8 + 0.2 + 0.8)


def test_the_source_that_is_left_out_has_no_say(choices: Any) -> None:
    labels = ["m3l-contrast", "sharp"]
    assert choices.chosen(lines_of(), labels, ["one", "three"]) == "m3l-contrast"
    assert choices.chosen(lines_of(), labels, ["two", "two-joined", "three"]) == "sharp"


def test_the_command_runs_changes_and_tests_what_it_chose(
    choices: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    ran: list[tuple[str, float, str]] = []
    generalising = import_module("generalising")

    def measured(
        corpus: str, name: str, settings: dict[str, Any], seed: int, partition: str
    ) -> dict[str, Any]:
        ran.append((corpus, settings.get("temperature", 0.0), partition))
        scores, change = SCORES[corpus]
        if settings:
            scores = tuple(x + y for x, y in zip(scores, change, strict=True))
        mrr, tu, npmi = scores
        of = {"mrr": mrr, "least-mrr": mrr, "tu": tu, "document-npmi": npmi}
        return {"training": 1000, "topics": 4, "seconds": 1.0, "scores": of}

    monkeypatch.setattr(generalising, "measured", measured)
    monkeypatch.setattr(generalising, "CORPORA", tuple(SOURCES))
    monkeypatch.setattr(choices, "CHANGES", {"m3l-contrast": {}, "sharp": {"temperature": 0.01}})
    out = tmp_path / "runs.jsonl"
    command = ["", "--processes", "1", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", command)
    choices.main()
    printed = capsys.readouterr().out.splitlines()
    assert len(ran) == len({*ran}) == 2 * len(SOURCES) + len(SOURCES) + 1
    assert [run for run in ran if run[1:] == (0.01, "test")] == [("one", 0.01, "test")]
    assert printed[0] == "| change | MRR | least MRR | TU | NPMI | worth |"
    rows = {row.split(" | ")[0].strip("| "): row.strip("| ").split(" | ")[1:] for row in printed}
    assert rows["m3l-contrast"] == [".833", ".833", ".783", ".133", "1.750"]
    assert rows["alone"] == ["sharp", *[".500"] * 2, ".800", ".100", *[".800"] * 3, ".100"]
    assert rows["pair"][0] == rows["last"][0] == "m3l-contrast"
    monkeypatch.setattr(sys, "argv", [*command, "--table"])
    choices.main()
    assert capsys.readouterr().out.splitlines() == printed
    monkeypatch.setattr(sys, "argv", [*command, "--only", "two,two-joined"])
    with pytest.raises(SystemExit, match="names corpora of one source"):
        choices.main()
    monkeypatch.setattr(sys, "argv", [*command, "--table", "--seeds", "2"])
    with pytest.raises(SystemExit, match=r"lacks 8 validation runs, \('one', 'm3l-contrast', 1\)"):
        choices.main()

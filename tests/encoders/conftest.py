"""Nothing is downloaded: no test may ask the network, and the Hub's cache is a folder."""

from pathlib import Path

import pytest
from tiny_models import HubModel, link_all


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


@pytest.fixture
def on_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HubModel:
    """Return a function that puts a folder into the Hub's cache as the newest commit of a name."""
    from huggingface_hub import constants

    cache = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(cache), raising=False)

    def put(name: str, commit: str, content: Path | None = None) -> Path:
        folder = cache / f"models--{name.replace('/', '--')}"
        snapshot = folder / "snapshots" / commit
        for place in (folder / "refs", snapshot):
            place.mkdir(parents=True, exist_ok=True)
        (folder / "refs" / "main").write_text(commit)
        if content is not None:
            link_all(content, snapshot)
        return snapshot

    return put

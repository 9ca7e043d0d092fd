"""A data set on disk: a folder with a sub-folder for each view, written whole and read back."""

from typing import TYPE_CHECKING

from octis_m3l.registry import lazily

if TYPE_CHECKING:
    from octis_m3l.data.folder.writing import write_embeddings

__getattr__ = lazily(__name__, __file__)

__all__ = ["write_embeddings"]

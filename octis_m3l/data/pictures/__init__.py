"""Small pictures drawn by code: one scene for each theme of the demonstration corpus."""

from octis_m3l.data.pictures.drawing import THEMES, draw

__all__ = ["THEMES", "draw"]

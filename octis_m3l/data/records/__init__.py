"""Records: what lists, frames and JSON lines hold row by row, read and checked."""

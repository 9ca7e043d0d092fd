"""A data set on disk: a folder with a sub-folder for each view, written whole and read back."""

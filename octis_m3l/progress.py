"""Whether anybody sees a progress bar."""

import sys
from typing import Any


def is_watched() -> bool:
    """Return whether a person sees what goes to stderr: in a terminal, or in a notebook."""
    if sys.stderr is not None and sys.stderr.isatty():
        return True
    ipython: Any = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and "IPKernelApp" in shell.config

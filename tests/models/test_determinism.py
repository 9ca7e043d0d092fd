"""The same seed in another process gives the same bits."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from planted import planted

from octis_m3l.models import MODELS

TESTS = Path(__file__).parents[1]
PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
from models.test_determinism import hashes_of_models
print(json.dumps(hashes_of_models()))
"""
SMALL = {"epochs": 2, "batch_size": 16, "iterations": 20, "visual_words": 8}


def hashes_of_models() -> dict[str, str]:
    """Return a hash of each model's output, all trained on the same data."""
    torch.set_num_threads(1)
    dataset = planted(missing=0.25, tuples=60).dataset
    found = {}
    for name, model in MODELS.items():
        settings: dict[str, Any] = {"num_topics": 4, "seed": 5}
        known = model().hyperparameters
        settings |= {k: v for k, v in SMALL.items() if k in known}
        output = model(**settings).train_model(dataset, top_words=5)
        digest = hashlib.sha256()
        for key in sorted(output):
            digest.update(key.encode() + np.ascontiguousarray(output[key]).tobytes())
        found[name] = digest.hexdigest()
    return found


@pytest.mark.slow
def test_another_process_gives_the_same_bits() -> None:
    # A set's order depends on the process; 1 is another order than this one's.
    environment = os.environ | {"PYTHONHASHSEED": "1", "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(TESTS)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout.splitlines()[-1]) == hashes_of_models()

"""What other processes get of a job."""

from pathlib import Path

import numpy as np
from planted import planted

from octis_m3l import MultiviewDataset
from octis_m3l.data.folder.writing import write_embeddings
from octis_m3l.search import Job
from octis_m3l.search.shipping import packed, unpacked

from .toy import Height, Hill


def test_a_saved_data_set_is_named_with_the_embeddings_in_use(tmp_path: Path) -> None:
    dataset = planted(tuples=40, images=False).dataset
    dataset.save(tmp_path / "corpus")
    for name, value in (("first", 1.0), ("second", 2.0)):
        for view in dataset.views:
            array = np.full((len(dataset.view(view)), 3), value, np.float32)
            write_embeddings(tmp_path / "corpus", view, array, name, {})
    for name, value in (("first", 1.0), ("second", 2.0)):
        data = MultiviewDataset.from_folder(tmp_path / "corpus", embeddings=name)
        content = packed(Job(Hill(), data, [Height()]))
        assert len(content) < 3000
        for view in unpacked(content).dataset.views.values():
            assert (view.embeddings == value).all()
    whole = packed(Job(Hill(), data, [Height()]), whole=True)
    assert len(whole) > len(content)
    changed = data.with_embeddings({v: np.zeros((len(data.view(v)), 2)) for v in data.views})
    for view in unpacked(packed(Job(Hill(), changed, [Height()]))).dataset.views.values():
        assert view.embeddings.shape[1] == 2

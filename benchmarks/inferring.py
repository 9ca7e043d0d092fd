"""θ of a trained GloCTM by one of its two encoders."""

from typing import Any

from octis_m3l.metrics.outputs import THETA_KEYS


def output_by(model: Any, dataset: Any, encoder: str) -> dict[str, Any]:
    """Return the model's output with softmax(μ) of one encoder for every document.

    Parameters
    ----------
    model : GloCTM
        Trained; from here on it infers by that encoder.
    dataset : MultiviewDataset
        What it was trained on.
    encoder : {'local', 'global'}
        Which.
    """
    network = model.network
    network.settings = network.settings.model_copy(update={"inferred_by": encoder})
    output = dict(model.output)
    for name, view in dataset.text_views.items():
        for partition in ("train", "test"):
            theta = model.infer(view.bag_of_words[view.rows(partition)], name, samples=0)
            output[f"{THETA_KEYS[partition]}/{name}"] = theta.T
    return output

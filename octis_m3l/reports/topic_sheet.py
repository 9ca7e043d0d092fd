"""One picture of all topics: their words in every language, and their pictures."""

from pathlib import Path

from matplotlib.figure import Figure

from octis_m3l.data.dataset import MultiviewDataset
from octis_m3l.data.pictures import open_picture
from octis_m3l.files import written_whole
from octis_m3l.models.base import TopicModel
from octis_m3l.reports.search_report import check_picture


def draw_topic_sheet(
    model: TopicModel,
    path: str | Path,
    *,
    dataset: MultiviewDataset | None = None,
    words: int = 8,
    pictures: int = 5,
) -> None:
    """Draw a trained model's aligned topics, the most frequent first, as PNG, PDF or SVG.

    Each has its words, and pictures from the first image view of the data set (by default the one
    trained on) that has any.
    """
    check_picture(path)
    data = dataset or model.dataset
    info = model.topic_info(words)
    languages = [name for name in info.columns if name not in ("topic", "share")]
    shown = next(
        (n for n, v in (data.image_views if data else {}).items() if v.pictures is not None), None
    )
    columns = 1 + (pictures if shown else 0)
    longest = max(len(name) + len(text) for name in languages for text in info[name])
    wide = 0.5 + 0.085 * max(longest, 24)
    figure = Figure(figsize=(wide + 1.1 * (columns - 1), 0.3 * (len(languages) + 2) * len(info)))
    axes = figure.subplots(
        len(info), columns, squeeze=False, width_ratios=[wide] + [1.1] * (columns - 1)
    )
    for row, (_, entry) in enumerate(info.iterrows()):
        lines = [f"topic {entry['topic']}   {entry['share']:.1%}"]
        lines += [f"{name}   {entry[name]}" for name in languages]
        axes[row, 0].text(0, 0.5, "\n".join(lines), va="center", fontsize=9, parse_math=False)
        if shown is not None:
            best = model.representatives(
                int(entry["topic"]), shown, count=pictures, dataset=dataset
            )
            for axis, item, picture in zip(
                axes[row, 1:], best["item"], best["content"], strict=False
            ):
                axis.imshow(open_picture(picture, item).resize((96, 96)))
    for axis in axes.flat:
        axis.axis("off")
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.99, wspace=0.05)
    with written_whole(Path(path)) as temporary:
        figure.savefig(temporary, dpi=120)

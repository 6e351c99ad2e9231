"""Draw docs/pairs.jpg: test images of the brain tumour archive with a copy or near-duplicate in its training part.

python docs/draw_pairs.py ARCHIVE.zip: Kaggle's archive (CC0); the pairs are those of its audit in results/audits.
"""

import io
import sys
import zipfile
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import PIL.Image

DOCS = Path(__file__).parent
PAIRS = DOCS.parent / "results/audits/brain_tumor_mri/pairs.csv"
# kind of pair, class, and rank among these pairs by correlation, 0 (lowest) to 1 (highest)
CHOSEN = [
    ("pixels", "meningioma", 0.5),
    ("pixels", "notumor", 0.5),
    ("near_duplicate", "meningioma", 0.5),
    ("near_duplicate", "notumor", 0.0),
    ("near_duplicate", "notumor", 0.5),
    ("near_duplicate", "notumor", 0.75),
]
KINDS = {"pixels": "identical pixels", "near_duplicate": "near-duplicate"}
NAMES = {"notumor": "no tumour"}
BACKGROUND, TEXT = "#0d1117", "#f0f6fc"  # readable on light and dark pages


def choose(pairs: pd.DataFrame) -> list[pd.Series]:
    """One pair for each of CHOSEN, of a test image and a training image."""
    across = pairs[(pairs["first_split"] == "Testing") & (pairs["second_split"] == "Training")]
    rows = []
    for kind, label, share in CHOSEN:
        same = across[(across["kind"] == kind) & (across["first_label"] == label)].sort_values("correlation")
        rows.append(same.iloc[int(share * (len(same) - 1))])
    return rows


def draw(archive: zipfile.ZipFile, rows: list[pd.Series], target: Path) -> None:
    figure, axes = plt.subplots(2, len(rows), figsize=(8, 3.05), layout="constrained", facecolor=BACKGROUND)
    for column, row in zip(axes.T, rows, strict=True):
        for panel, path in zip(column, (row["second_path"], row["first_path"]), strict=True):
            with PIL.Image.open(io.BytesIO(archive.read(path))) as image:
                panel.imshow(image.convert("L").resize((200, 200)), cmap="gray")
            panel.set(xticks=[], yticks=[])
            panel.spines[:].set_visible(False)
        label = row["first_label"]
        column[0].set_title(NAMES.get(label, label), fontsize=11, color=TEXT)
        column[1].set_xlabel(KINDS[row["kind"]], fontsize=9, color=TEXT)
    for panel, name in zip(axes[:, 0], ("training image", "test image"), strict=True):
        panel.set_ylabel(name, fontsize=11, color=TEXT)
    figure.savefig(target, dpi=200, pil_kwargs={"quality": 85})
    plt.close(figure)


def main() -> None:
    rows = choose(pd.read_csv(PAIRS))
    with zipfile.ZipFile(sys.argv[1]) as archive:
        draw(archive, rows, DOCS / "pairs.jpg")


if __name__ == "__main__":
    main()

"""One look for all figures, and the line under each that says what data and weights it shows."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import seaborn as sns

DPI = 110
PALETTE = "colorblind"
# how a setting is called on an axis
NAMES = {"lr": "learning rate", "batch_size": "batch size", "model": "model"}


def name(setting: str) -> str:
    return NAMES.get(setting, setting.replace("_", " "))


def value(setting: str, given) -> str:
    """A setting's value as a label; rates in the shortest form, such as 1e-05 or 0.001."""
    return f"{given:g}" if isinstance(given, float) else str(given)


def use() -> None:
    sns.set_theme(style="whitegrid", palette=PALETTE, font_scale=0.9)


def save(figure, path: Path, note: str) -> None:
    """Write a PNG with `note` in small print below it."""
    height = figure.get_size_inches()[1]
    figure.text(0.005, -0.12 / height, note, fontsize=7, color="0.4", ha="left", va="top")
    # no software version or date inside: the same numbers give the same bytes
    figure.savefig(path, dpi=DPI, bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)

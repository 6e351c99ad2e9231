"""How figures are saved: colours, the note below, text that is no mathematics."""

import matplotlib.pyplot as plt
import numpy as np
import PIL.Image
import pytest
import seaborn as sns

from medgrid.report.figures import style

# warnings of pandas or matplotlib are errors in our code
pytestmark = pytest.mark.filterwarnings("error")


def test_saved_figures_keep_their_colours(tmp_path, monkeypatch):
    """Lines under bands of the same hues: what names a line must not be merged with another's colour."""
    drawn = []
    quantize = PIL.Image.Image.quantize
    monkeypatch.setattr(
        PIL.Image.Image, "quantize", lambda image, *a, **k: drawn.append(np.array(image)) or quantize(image, *a, **k)
    )
    style.use()
    figure, axes = plt.subplots(figsize=(5, 4))
    x = np.linspace(0, 1, 200)
    for i, colour in enumerate(sns.color_palette(style.PALETTE, 6)):
        for shift in np.linspace(0, 0.5, 5):
            axes.fill_between(x, x**0.5 + 0.1 * i, x + 0.1 * i + shift, color=colour, alpha=0.13)
        axes.plot(x, x**0.5 + 0.1 * i, color=colour, label=f"line {i}")
    axes.legend()
    style.save(figure, tmp_path / "a.png", "a note")
    with PIL.Image.open(tmp_path / "a.png") as image:
        saved = np.array(image.convert("RGB")).astype(int)
    assert len(np.unique(drawn[0].reshape(-1, 3), axis=0)) > 1000
    assert np.abs(saved - drawn[0]).sum(axis=2).max() < 45


def test_the_note_lies_below_everything_else(tmp_path):
    style.use()
    figure, axes = plt.subplots(figsize=(5, 4), layout="constrained")
    axes.plot([0, 1], color="red", linewidth=3, label="red")
    figure.legend(loc="outside lower center")
    style.save(figure, tmp_path / "a.png", "a note")
    with PIL.Image.open(tmp_path / "a.png") as image:
        pixels = np.array(image.convert("RGB")).astype(int)
    written = np.flatnonzero((pixels < 200).any(axis=(1, 2)))
    # the last lines of the image are those of the note: grey, without the legend's red
    last = np.split(written, np.flatnonzero(np.diff(written) > 1) + 1)[-1]
    assert len(last) > 3
    assert np.ptp(pixels[last], axis=2).max() < 40


def test_a_dollar_in_a_name_is_a_dollar(tmp_path):
    figure, axes = plt.subplots()
    axes.set(title=r"$\frac{$ costs $1", xscale="log", xlim=(0.001, 1))
    style.save(figure, tmp_path / "a.png", "$note")
    assert (tmp_path / "a.png").exists()
    # powers of ten are mathematics
    assert all("10^{" in label.get_text() and label.get_parse_math() for label in axes.get_xticklabels())

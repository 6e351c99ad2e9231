"""Groups of test images: their bounds, intervals and verdicts."""

import numpy as np
import pandas as pd
import pytest

from medgrid.report import subgroups as module
from medgrid.report.subgroups import brightness, subgroups, thirds


def images(count: int, **columns) -> pd.DataFrame:
    shared = {"label": "a", "format": "PNG", "mode": "L", "width": "10", "height": "10", "brightness": 5.0}
    table = pd.DataFrame(shared | {"cluster": range(count)} | columns, index=[f"{i}.png" for i in range(count)])
    return table


def test_thirds_are_named_by_their_bounds_in_order():
    groups = thirds(pd.Series([90, 8, 7, 120, 100, 9]))
    assert groups.cat.categories.tolist() == ["7 to 8", "9 to 90", "100 to 120"]
    assert groups.tolist() == ["9 to 90", "7 to 8", "7 to 8", "100 to 120", "100 to 120", "9 to 90"]
    # most images share one size
    assert thirds(pd.Series([512] * 8 + [100, 200, 600, 700])).cat.categories.tolist() == ["100 to 512", "600 to 700"]
    assert thirds(pd.Series([30.0, 4, 30])).tolist() == ["30", "4", "30"]


def test_groups_are_in_order_and_hold_every_image():
    table = subgroups(images(90, brightness=np.arange(90) * 2.0), np.ones(90))
    of_brightness = table[table["factor"] == "brightness"]
    assert of_brightness["group"].tolist() == ["0 to 58", "60 to 118", "120 to 178"]
    assert (table.groupby("factor")["images"].sum() == 90).all()


def test_the_interval_is_that_of_wilson_over_clusters():
    """By hand: 30 of 40 clusters, z = 1.96: centre (0.75 + z²/80) / (1 + z²/40)."""
    right = np.repeat([1.0, 0.0], [60, 20])
    (row,) = subgroups(images(80, cluster=np.arange(80) // 2), right).query("factor == 'class'").to_dict("records")
    z = 1.959964
    centre = (0.75 + z**2 / 80) / (1 + z**2 / 40)
    half = z / (1 + z**2 / 40) * np.sqrt(0.75 * 0.25 / 40 + z**2 / (4 * 40**2))
    assert (row["images"], row["clusters"], row["accuracy"]) == (80, 40, 0.75)
    assert (row["low"], row["high"]) == pytest.approx((centre - half, centre + half), abs=1e-6)


def test_verdicts_follow_from_intervals():
    labels = np.repeat(["bad", "good", "few"], [100, 300, 19])
    right = np.where(labels == "bad", 0.5, np.where(labels == "good", 1.0, 0.0))
    table = subgroups(images(419, label=labels), right).query("factor == 'class'").set_index("group")
    assert table["verdict"].to_dict() == {"bad": "lower", "good": "higher", "few": "small"}
    same = subgroups(images(400, label=np.repeat(["x", "y"], 200)), np.tile([1.0, 0.0], 200))
    assert set(same.query("factor == 'class'")["verdict"]) == {""}


def test_brightness_is_the_mean_of_each_image(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 3)
    tensors = np.random.default_rng(0).integers(0, 255, (20, 4, 4, 3), dtype=np.uint8)
    rows = np.array([7, 3, 11, 19, 0, 2, 5])
    assert brightness(tensors, rows) == pytest.approx([tensors[row].mean() for row in rows])

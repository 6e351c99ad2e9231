import zipfile
from collections import Counter

import numpy as np
import pandas as pd
from conftest import CLASSES

from medgrid.config import Synthetic
from medgrid.data.synthetic import generate


def settings(**changes) -> Synthetic:
    return Synthetic(template="{split}/{label}/{subject}_{n}.jpg", splits={"a": 0.5, "b": 0.5}, **changes)


def test_the_same_settings_give_the_same_images(tmp_path):
    for name in ("one", "two"):
        generate(settings(images=24, size=32), CLASSES, tmp_path / f"{name}.zip")
    generate(settings(images=24, size=32, seed=1), CLASSES, tmp_path / "other.zip")
    one, two, other = ((tmp_path / f"{name}.zip").read_bytes() for name in ("one", "two", "other"))
    assert one == two != other


def test_copies_damage_and_classes_are_as_asked(archive, inventory):
    names = zipfile.ZipFile(archive).namelist()
    assert len(names) == 80
    counts = Counter(name.split("/")[1] for name in names)
    assert set(counts) == set(CLASSES)
    assert max(counts.values()) - min(counts.values()) < 12
    table = pd.read_csv(inventory, keep_default_na=False)
    readable = table[table["error"] == ""]
    assert readable["pixels_sha256"].duplicated().sum() == 8
    assert np.unique(readable["width"]).tolist() == ["48"] or np.unique(readable["width"]).tolist() == [48]

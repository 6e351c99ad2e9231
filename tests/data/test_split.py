import pandas as pd
import pytest

from medgrid.data.split import assign, clusters, write_split
from medgrid.errors import MedgridError

SETTINGS = {"protocol": "clean", "test": 0.3, "validation": 0.2, "seed": 42}


@pytest.fixture
def images(inventory) -> pd.DataFrame:
    table = pd.read_csv(inventory, keep_default_na=False)
    return table[table["error"] == ""].reset_index(drop=True)


def many(count: int) -> pd.DataFrame:
    labels = ["a", "b", "b", "c"]
    return pd.DataFrame(
        {
            "path": [f"{i}.png" for i in range(count)],
            "label": [labels[i % 4] for i in range(count)],
            "group": "",
            "pixels_sha256": [f"{i}" for i in range(count)],
        }
    )


def test_clusters_chain_over_pixels_and_groups():
    table = pd.DataFrame(
        [("1", "a", "p"), ("2", "a", "q"), ("3", "b", "q"), ("4", "", "r"), ("5", "", "r"), ("6", "", "s")],
        columns=["path", "group", "pixels_sha256"],
    )
    assert clusters(table).tolist() == [0, 0, 0, 1, 1, 2]


def test_clean_keeps_copies_and_groups_on_one_side(images):
    assert images["pixels_sha256"].duplicated().any()
    table = assign(images, SETTINGS)
    assert (table.groupby("pixels_sha256")["part"].nunique() == 1).all()
    assert (table.groupby("group")["part"].nunique() == 1).all()
    assert set(table["part"]) == {"train", "validation", "test"}


def test_published_deals_out_single_images(images):
    table = assign(images, SETTINGS | {"protocol": "published"})
    # what the studies did: groups are torn apart
    assert (table.groupby("group")["part"].nunique() > 1).any()
    counts = table["part"].value_counts()
    assert counts["test"] == round(0.3 * len(images))


def test_counts_are_met_exactly_where_images_stand_alone():
    table = assign(many(7023), {"protocol": "clean", "test": 2023, "validation": 1000, "seed": 42})
    assert table["part"].value_counts().to_dict() == {"train": 4000, "test": 2023, "validation": 1000}
    shares = table.groupby("part")["label"].value_counts(normalize=True).unstack()
    assert ((shares - [0.25, 0.5, 0.25]).abs() < 0.002).all(axis=None)


def test_the_seed_decides():
    one, same, other = (assign(many(200), SETTINGS | {"seed": s})["part"] for s in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()


@pytest.mark.parametrize("change", [{"test": 500}, {"test": 150, "validation": 60}])
def test_sizes_that_cannot_be_had(change):
    with pytest.raises(MedgridError, match="leave none of 200 to train on"):
        assign(many(200), SETTINGS | change)


def test_rows_number_the_readable_images(inventory, images, tmp_path):
    write_split(SETTINGS, str(inventory), str(tmp_path / "split.csv"))
    table = pd.read_csv(tmp_path / "split.csv")
    assert table["row"].tolist() == list(range(len(images)))
    assert table["path"].tolist() == images["path"].tolist()

import re

import numpy as np
import pandas as pd
import pytest

from medgrid.data import split
from medgrid.data.clusters import cluster_ids_with_groups
from medgrid.data.nearest_thumbnail import SIDE
from medgrid.data.split import most_frequent_labels
from medgrid.utils.errors import MedgridError

SETTINGS = {
    "protocol": "clean", "by": None, "test": 0.3, "validation": 0.2, "use": None, "balanced": False, "seed": 42,
    "series": None,
}  # fmt: skip


def copies(images: pd.DataFrame) -> pd.DataFrame:
    """Pairs with the same pixels, as `find_pairs` returns them."""
    pairs = []
    for rows in images.groupby("pixels_sha256").indices.values():
        pairs += [(rows[0], row, "pixels") for row in rows[1:]]
    return pd.DataFrame(pairs, columns=["first", "second", "kind"])


def assign(images: pd.DataFrame, settings: dict, near_duplicates: list[tuple[int, int]] = ()) -> pd.DataFrame:
    rows = [(*pair, "near_duplicate") for pair in near_duplicates]
    pairs = pd.concat([copies(images), pd.DataFrame(rows, columns=["first", "second", "kind"])])
    return split.assign(images, settings, pairs)


def write_split(settings: dict, inventory: str, target: str) -> None:
    table = pd.read_csv(inventory, keep_default_na=False, dtype=str).query("error == ''").reset_index(drop=True)
    copies(table).to_csv(f"{target}.near_duplicates", index=False)
    thumbnails = np.random.default_rng(0).integers(0, 255, (len(table), SIDE, SIDE), np.uint8)
    np.savez(f"{target}.npz", thumbnails=thumbnails)
    split.write_split(settings, inventory, f"{target}.near_duplicates", f"{target}.npz", target)


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
    assert cluster_ids_with_groups(table, copies(table)).tolist() == [0, 0, 0, 1, 1, 2]


def test_clean_keeps_copies_and_groups_in_one_part(images):
    assert images["pixels_sha256"].duplicated().any()
    table = assign(images, SETTINGS)
    assert (table.groupby("pixels_sha256")["part"].nunique() == 1).all()
    assert (table.groupby("group")["part"].nunique() == 1).all()
    assert set(table["part"]) == {"train", "validation", "test"}


def test_published_assigns_single_images(images):
    table = assign(images, SETTINGS | {"protocol": "published"})
    # as the studies did: groups are in several parts
    assert (table.groupby("group")["part"].nunique() > 1).any()
    counts = table["part"].value_counts()
    assert counts["test"] == round(0.3 * len(images))


def test_counts_are_exact_where_every_image_is_a_cluster():
    table = assign(many(7023), SETTINGS | {"test": 2023, "validation": 1000})
    assert table["part"].value_counts().to_dict() == {"train": 4000, "test": 2023, "validation": 1000}
    shares = table.groupby("part")["label"].value_counts(normalize=True).unstack()
    assert ((shares - [0.25, 0.5, 0.25]).abs() < 0.002).all(axis=None)


def test_the_split_depends_on_the_seed_only():
    one, same, other = (assign(many(200), SETTINGS | {"seed": s})["part"] for s in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()


@pytest.mark.parametrize("change", [{"test": 500}, {"test": 150, "validation": 60}])
def test_sizes_that_leave_no_training_images(change):
    with pytest.raises(MedgridError, match="leave none of 200 for training"):
        assign(many(200), SETTINGS | change)


def test_rows_number_the_readable_images(inventory, images, tmp_path):
    write_split(SETTINGS, str(inventory), str(tmp_path / "split.csv"))
    table = pd.read_csv(tmp_path / "split.csv")
    assert table["row"].tolist() == list(range(len(images)))
    assert table["path"].tolist() == images["path"].tolist()


def test_the_test_images_may_validate_too(images):
    usual = assign(images, SETTINGS | {"protocol": "published"})
    table = assign(images, SETTINGS | {"protocol": "published", "validation": "test"})
    parts = table.groupby("part")["path"].apply(list)
    assert parts["validation"] == parts["test"] == usual["path"][usual["part"] == "test"].tolist()
    assert sorted(parts["train"] + parts["test"]) == sorted(images["path"])
    # both rows of an image are adjacent and have the same index
    assert table.index.is_monotonic_increasing
    assert (table["path"] == images["path"].loc[table.index]).all()


def test_the_clean_protocol_keeps_clusters_where_test_images_validate(images):
    table = assign(images, SETTINGS | {"validation": "test"})
    assert (
        table.groupby("cluster")["part"].agg(set).map(lambda parts: parts & {"train", "test"}).map(len) == 1
    ).all()
    assert set(table["path"][table["part"] == "validation"]) == set(table["path"][table["part"] == "test"])


def test_sizes_that_leave_no_training_images_where_test_images_validate():
    with pytest.raises(MedgridError, match="200 test images leave none of 200 for training"):
        assign(many(200), SETTINGS | {"test": 200, "validation": "test"})


def test_balanced_classes_have_the_size_of_the_smallest():
    table = assign(many(400), SETTINGS | {"protocol": "published", "test": 60, "validation": 30, "balanced": True})
    counts = table.groupby(["part", "label"]).size().unstack()
    assert counts.to_dict("index") == {
        "test": {"a": 20, "b": 20, "c": 20},
        "validation": {"a": 10, "b": 10, "c": 10},
        "train": {"a": 70, "b": 70, "c": 70},
    }
    assert table["path"].is_unique
    assert table["path"].tolist() == [f"{i}.png" for i in table.index]


def test_images_are_left_out_at_random_by_the_seed():
    def left_out(seed: int) -> set:
        return set(range(400)) - set(assign(many(400), SETTINGS | {"balanced": True, "seed": seed}).index)

    assert left_out(1) == left_out(1) != left_out(2)
    # of the 200 images of the largest class, neither the first nor the last hundred
    assert len(left_out(1)) == 100
    assert 25 < len([i for i in left_out(1) if i < 200]) < 75


def test_balanced_and_clean_keeps_clusters_whole():
    table = many(400).assign(group=[f"p{i // 8}" for i in range(400)])
    table = assign(table, SETTINGS | {"balanced": True})
    assert table["label"].value_counts().to_dict() == {"a": 100, "b": 100, "c": 100}
    assert (table.groupby("group")["part"].nunique() == 1).all()
    assert (table.groupby("cluster")["part"].nunique() == 1).all()


def test_images_that_a_left_out_one_connects_stay_in_one_part():
    """Patients p and q have copies of one image; their cluster does not depend on whether it is drawn."""
    rows = [(f"{who}{i}", "a", who, f"{who}{i}") for who in "pq" for i in range(4)]
    rows += [("pq", "a", "p", "q0")]
    rows += [(f"r{i}", "a", f"r{i}", f"r{i}") for i in range(8)] + [(f"b{i}", "b", "", f"b{i}") for i in range(12)]
    table = pd.DataFrame(rows, columns=["path", "label", "group", "pixels_sha256"])
    without_link = 0
    for seed in range(8):
        assigned = assign(table, SETTINGS | {"balanced": True, "seed": seed})
        without_link += "pq" not in set(assigned["path"])
        assert assigned["part"][assigned["group"].isin(["p", "q"])].nunique() == 1
    assert without_link


def test_images_without_a_label_never_train(tmp_path):
    inventory = many(60)
    inventory.loc[::3, "label"] = ""
    inventory = inventory.assign(error="").reset_index(drop=True)
    inventory.loc[[0, 7], "error"] = "broken"
    inventory.to_csv(tmp_path / "inventory.csv", index=False)
    # rows count all images that decode
    readable = [path for path in inventory["path"] if path not in ("0.png", "7.png")]
    for changes in ({}, {"protocol": "published", "validation": "test"}, {"balanced": True}):
        write_split(SETTINGS | changes, str(tmp_path / "inventory.csv"), str(tmp_path / "split.csv"))
        table = pd.read_csv(tmp_path / "split.csv", keep_default_na=False)
        unlabelled = table[table["part"] == "unlabelled"]
        assert unlabelled["path"].tolist() == [f"{i}.png" for i in range(3, 60, 3)]
        assert set(unlabelled["label"]) == {""}
        assert set(table["label"][table["part"] != "unlabelled"]) == {"a", "b", "c"}
        assert [readable[row] for row in table["row"]] == table["path"].tolist()


def test_the_sizes_of_parts_are_printed(inventory, tmp_path, capsys):
    settings = SETTINGS | {"test": 12, "validation": 8, "balanced": True, "protocol": "published"}
    write_split(settings, str(inventory), str(tmp_path / "split.csv"))
    counts = pd.read_csv(inventory, keep_default_na=False).query("error == ''")["label"].value_counts()
    left_out = int((counts - counts.min()).sum())
    assert re.search(rf"12 test; {left_out} left out; \d+ test images have a near-duplicate", capsys.readouterr().out)


def test_the_label_of_a_cluster_is_its_most_frequent_one():
    """As by pandas' mode, which takes minutes for a hundred thousand clusters."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"cluster": rng.integers(0, 30, 200), "label": rng.choice(list("abc"), 200)})
    expected = table.groupby("cluster")["label"].agg(lambda labels: labels.mode().iloc[0])
    assert most_frequent_labels(table)["label"].to_dict() == expected.to_dict()


BY_ARCHIVE = SETTINGS | {"by": "archive", "test": None}


def of_archive() -> pd.DataFrame:
    """400 images: 80 in Testing, 8 in val, 312 in Training. 32 of Testing have a copy among the others."""
    table = many(400).assign(original_split=["Testing"] * 80 + ["val"] * 8 + ["Training"] * 312)
    table.loc[86:117, "pixels_sha256"] = table.loc[:31, "pixels_sha256"].to_numpy()
    return table


@pytest.mark.parametrize(("protocol", "left_out"), [("clean", 32), ("published", 0)])
@pytest.mark.parametrize(("validation", "count"), [(0.2, 80), (100, 100)])
def test_the_archive_s_own_test_images_are_the_test_part(capsys, protocol, left_out, validation, count):
    table = assign(of_archive(), BY_ARCHIVE | {"protocol": protocol, "validation": validation})
    assert table.index[table["part"] == "test"].tolist() == list(range(80))
    assert table["part"].value_counts()["validation"] == count
    # the few images of val are among the others
    assert set(table.loc[80:84, "part"]) <= {"train", "validation"}
    assert len(table) == 400 - left_out
    assert set(range(86, 118)).isdisjoint(table.index) == (protocol == "clean")
    said = "32 training images share a cluster with a test image and are not used"
    assert (said in capsys.readouterr().out) == (protocol == "clean")
    assert (table["near_duplicate"] == "yes").any() == (protocol == "published")
    shares = table.groupby("part")["label"].value_counts(normalize=True).unstack()
    assert ((shares.loc["validation"] - shares.loc["train"]).abs() < 0.02).all()


def test_groups_and_series_are_kept_where_the_archive_splits():
    images = of_archive().assign(group=[f"p{i // 5}" if i > 120 else "" for i in range(400)])
    images.loc[399, "group"] = "in both"
    images.loc[0, "group"] = "in both"
    series = np.arange(400)
    series[[1, 398]] = 0
    table = split.assign(images, BY_ARCHIVE, copies(images), series)
    assert not {395, 398, 399} & set(table.index)  # 398 is in the series of a test image, and 395 in its group
    assert (table.groupby("cluster")["part"].nunique() == 1).all()


def test_the_archive_s_test_images_may_validate_too():
    table = assign(of_archive(), BY_ARCHIVE | {"validation": "test"})
    assert table["part"].value_counts().to_dict() == {"train": 288, "test": 80, "validation": 80}


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ([""], r"needs images whose own split starts with 'test', and others \(its splits: none\)"),
        (["train", "val"], r"\(its splits: train, val\)"),
        (["test"], r"\(its splits: test\)"),
    ],
)
def test_an_archive_without_a_split(splits, message):
    images = many(40).assign(original_split=[splits[i % len(splits)] for i in range(40)])
    with pytest.raises(MedgridError, match=message):
        assign(images, BY_ARCHIVE)


def test_validation_images_that_leave_none_of_the_archive_s_for_training():
    with pytest.raises(MedgridError, match="300 validation images leave none of 288 for training"):
        assign(of_archive(), BY_ARCHIVE | {"validation": 300})


@pytest.mark.parametrize("protocol", ["clean", "published"])
@pytest.mark.parametrize(("use", "count"), [(80, 80), (0.25, 100)])
def test_a_share_of_the_images_may_be_used(protocol, use, count):
    table = assign(many(400), SETTINGS | {"protocol": protocol, "use": use})
    assert len(table) == count
    assert table["label"].value_counts().to_dict() == {"b": count / 2, "a": count / 4, "c": count / 4}
    # the index of an image does not change: it becomes the row of the tensors
    assert (table["path"] == [f"{i}.png" for i in table.index]).all()


@pytest.mark.slow
def test_patients_named_by_numbers_and_words_stay_in_one_part(tmp_path):
    """So many lines that pandas would guess types chunk by chunk: patient 7 is one patient in all of them."""
    count = 300_000
    patients = [i // 3 % (count // 6) for i in range(count)]  # each in the first half and in the second
    table = many(count).assign(error="", label=["ab"[patient % 2] for patient in patients], group=patients)
    table["group"] = table["group"].astype(str)
    table.loc[table.index[-1], "group"] = "x1"
    table.to_csv(tmp_path / "inventory.csv", index=False)
    few = {"test": 0.01, "validation": 0.01}  # as few images as possible are looked up
    write_split(SETTINGS | few, str(tmp_path / "inventory.csv"), str(tmp_path / "split.csv"))
    parts = pd.read_csv(tmp_path / "split.csv")["part"]
    assert parts.groupby(table["group"]).nunique().max() == 1


def test_classes_named_by_numbers_keep_their_names(tmp_path):
    many(80).assign(error="", label=["00", "01"] * 40).to_csv(tmp_path / "inventory.csv", index=False)
    write_split(SETTINGS, str(tmp_path / "inventory.csv"), str(tmp_path / "split.csv"))
    assert set(pd.read_csv(tmp_path / "split.csv", dtype=str)["label"]) == {"00", "01"}


@pytest.mark.parametrize("validation", [0.2, "test"])
def test_the_lookup_has_the_label_of_the_nearest_training_image(tmp_path, validation):
    many(80).assign(error=["broken"] + [""] * 79).to_csv(tmp_path / "inventory.csv", index=False)
    settings = SETTINGS | {"validation": validation, "use": 60}
    write_split(settings, str(tmp_path / "inventory.csv"), str(tmp_path / "split.csv"))
    table = pd.read_csv(tmp_path / "split.csv", keep_default_na=False)
    pixels = np.load(tmp_path / "split.csv.npz")["thumbnails"].reshape(79, -1).astype(int)
    train = table[table["part"] == "train"]
    for row in table.to_dict("records"):
        distance = np.square(pixels[train["row"]] - pixels[row["row"]]).sum(1)
        assert row["lookup"] == (train["label"].iloc[distance.argmin()] if row["part"] == "test" else "")
    assert (table["part"] == "test").sum() > 10


def test_every_class_is_in_every_part(tmp_path):
    rare = many(203).assign(error="", label=["a"] * 100 + ["b"] * 100 + ["c"] * 3)
    rare.to_csv(tmp_path / "inventory.csv", index=False)
    with pytest.raises(MedgridError, match="none of the 3 images of class c is in part (validation|test); change"):
        write_split(
            SETTINGS | {"test": 0.05, "validation": 0.05},
            str(tmp_path / "inventory.csv"),
            str(tmp_path / "split.csv"),
        )
    assert not (tmp_path / "split.csv").exists()


def test_near_duplicates_chain_with_copies_and_groups():
    table = many(400)
    table.loc[[1, 300], "group"] = "patient"
    table.loc[[2, 301], "pixels_sha256"] = "same"
    assigned = assign(table, SETTINGS, near_duplicates=[(0, 1), (300, 2), (301, 5)])
    assert assigned.loc[[0, 1, 2, 5, 300, 301], "cluster"].nunique() == 1
    assert assigned["cluster"].nunique() == 400 - 5


@pytest.mark.parametrize("protocol", ["published", "clean"])
def test_near_duplicates_in_training_equal_those_of_brute_force(protocol):
    rng = np.random.default_rng(3)
    table = many(300)
    table.loc[:59, "pixels_sha256"] = [f"p{i // 2}" for i in range(60)]
    near_duplicates = [(int(a), int(a) + 1) for a in rng.choice(np.arange(60, 298), 60, replace=False)]
    assigned = assign(table, SETTINGS | {"protocol": protocol}, near_duplicates=near_duplicates)
    same = np.eye(300, dtype=bool)
    for a, b in [*near_duplicates, *((i, i + 1) for i in range(0, 60, 2))]:
        same[a, b] = same[b, a] = True
    for _ in range(9):  # near-duplicates chain
        same = (same.astype(int) @ same) > 0
    train = (assigned["part"] == "train").to_numpy()
    expected = {i: ("" if train[i] else "yes" if (same[i] & train).any() else "no") for i in range(300)}
    assert assigned["near_duplicate"].to_dict() == expected
    assert ("yes" in expected.values()) == (protocol == "published")


def test_near_duplicates_of_unlabelled_images_and_of_test_images_that_validate(images):
    table = images.copy()
    table.loc[::7, "label"] = ""
    assigned = assign(table, SETTINGS | {"protocol": "published", "validation": "test"})
    assert set(assigned.loc[assigned["part"].isin(["train", "unlabelled"]), "near_duplicate"]) == {""}
    both = assigned[assigned["part"].isin(["validation", "test"])].groupby("path")["near_duplicate"].agg(list)
    assert all(one == other for one, other in both)
    assert {one for one, _ in both} == {"yes", "no"}

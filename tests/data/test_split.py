import numpy as np
import pandas as pd
import pytest

from medgrid.data import split
from medgrid.data.split import clusters, most_frequent_labels
from medgrid.utils.errors import MedgridError

SETTINGS = {"protocol": "clean", "test": 0.3, "validation": 0.2, "use": None, "balanced": False, "seed": 42}


def copies(images: pd.DataFrame) -> pd.DataFrame:
    """Pairs with the same pixels, as an audit finds them."""
    pairs = []
    for rows in images.groupby("pixels_sha256").indices.values():
        pairs += [(rows[0], row, "pixels") for row in rows[1:]]
    return pd.DataFrame(pairs, columns=["first", "second", "kind"])


def assign(images: pd.DataFrame, settings: dict, near_duplicates: list[tuple[int, int]] = ()) -> pd.DataFrame:
    found = pd.DataFrame([(*pair, "near_duplicate") for pair in near_duplicates], columns=["first", "second", "kind"])
    return split.assign(images, settings, pd.concat([copies(images), found]))


def write_split(settings: dict, inventory: str, target: str) -> None:
    table = pd.read_csv(inventory, keep_default_na=False, dtype=str).query("error == ''").reset_index(drop=True)
    copies(table).to_csv(f"{target}.near_duplicates", index=False)
    split.write_split(settings, inventory, f"{target}.near_duplicates", target)


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
    assert clusters(table, copies(table)).tolist() == [0, 0, 0, 1, 1, 2]


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
    table = assign(many(7023), SETTINGS | {"test": 2023, "validation": 1000})
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


def test_the_test_images_may_validate_too(images):
    own = assign(images, SETTINGS | {"protocol": "published"})
    table = assign(images, SETTINGS | {"protocol": "published", "validation": "test"})
    parts = table.groupby("part")["path"].apply(list)
    assert parts["validation"] == parts["test"] == own["path"][own["part"] == "test"].tolist()
    assert sorted(parts["train"] + parts["test"]) == sorted(images["path"])
    # an image's two rows stand together, and have one index
    assert table.index.is_monotonic_increasing
    assert (table["path"] == images["path"].loc[table.index]).all()


def test_the_clean_protocol_keeps_clusters_where_test_images_validate(images):
    table = assign(images, SETTINGS | {"validation": "test"})
    assert (
        table.groupby("cluster")["part"].agg(set).map(lambda parts: parts & {"train", "test"}).map(len) == 1
    ).all()
    assert set(table["path"][table["part"] == "validation"]) == set(table["path"][table["part"] == "test"])


def test_sizes_that_cannot_be_had_where_test_images_validate():
    with pytest.raises(MedgridError, match="200 test images leave none of 200 to train on"):
        assign(many(200), SETTINGS | {"test": 200, "validation": "test"})


def test_balanced_classes_are_as_many_as_the_smallest():
    table = assign(many(400), SETTINGS | {"protocol": "published", "test": 60, "validation": 30, "balanced": True})
    counts = table.groupby(["part", "label"]).size().unstack()
    assert counts.to_dict("index") == {
        "test": {"a": 20, "b": 20, "c": 20},
        "validation": {"a": 10, "b": 10, "c": 10},
        "train": {"a": 70, "b": 70, "c": 70},
    }
    assert table["path"].is_unique
    assert table["path"].tolist() == [f"{i}.png" for i in table.index]


def test_what_is_left_out_is_random_and_seeded():
    def left_out(seed: int) -> set:
        return set(range(400)) - set(assign(many(400), SETTINGS | {"balanced": True, "seed": seed}).index)

    assert left_out(1) == left_out(1) != left_out(2)
    # of 200 in the larger class, not the first nor the last hundred
    assert len(left_out(1)) == 100
    assert 25 < len([i for i in left_out(1) if i < 200]) < 75


def test_balanced_and_clean_keeps_clusters_whole():
    table = many(400).assign(group=[f"p{i // 8}" for i in range(400)])
    table = assign(table, SETTINGS | {"balanced": True})
    assert table["label"].value_counts().to_dict() == {"a": 100, "b": 100, "c": 100}
    assert (table.groupby("group")["part"].nunique() == 1).all()
    assert (table.groupby("cluster")["part"].nunique() == 1).all()


def test_images_that_a_left_out_one_ties_together_stay_on_one_side():
    """Patients p and q share one image's pixels; whether that image is drawn must not matter."""
    rows = [(f"{who}{i}", "a", who, f"{who}{i}") for who in "pq" for i in range(4)]
    rows += [("pq", "a", "p", "q0")]
    rows += [(f"r{i}", "a", f"r{i}", f"r{i}") for i in range(8)] + [(f"b{i}", "b", "", f"b{i}") for i in range(12)]
    table = pd.DataFrame(rows, columns=["path", "label", "group", "pixels_sha256"])
    without_tie = 0
    for seed in range(8):
        parted = assign(table, SETTINGS | {"balanced": True, "seed": seed})
        without_tie += "pq" not in set(parted["path"])
        assert parted["part"][parted["group"].isin(["p", "q"])].nunique() == 1
    assert without_tie


def test_images_without_a_label_never_train(tmp_path):
    table = many(60)
    table.loc[::3, "label"] = ""
    table = table.assign(error="").reset_index(drop=True)
    table.loc[[0, 7], "error"] = "broken"
    table.to_csv(tmp_path / "inventory.csv", index=False)
    for changes in ({}, {"protocol": "published", "validation": "test"}, {"balanced": True}):
        write_split(SETTINGS | changes, str(tmp_path / "inventory.csv"), str(tmp_path / "split.csv"))
        made = pd.read_csv(tmp_path / "split.csv", keep_default_na=False)
        unlabelled = made[made["part"] == "unlabelled"]
        assert unlabelled["path"].tolist() == [f"{i}.png" for i in range(3, 60, 3)]
        assert set(unlabelled["label"]) == {""}
        assert set(made["label"][made["part"] != "unlabelled"]) == {"a", "b", "c"}
        # rows count all images that decode
        readable = [path for path in table["path"] if path not in ("0.png", "7.png")]
        assert [readable[row] for row in made["row"]] == made["path"].tolist()


def test_the_split_says_what_it_did(inventory, tmp_path, capsys):
    settings = SETTINGS | {"test": 12, "validation": 8, "balanced": True, "protocol": "published"}
    write_split(settings, str(inventory), str(tmp_path / "split.csv"))
    counts = pd.read_csv(inventory, keep_default_na=False).query("error == ''")["label"].value_counts()
    left_out = int((counts - counts.min()).sum())
    assert f"12 test; {left_out} left out" in capsys.readouterr().out


def test_a_cluster_s_label_is_its_most_frequent_one():
    """As pandas' own mode says, which takes minutes on a hundred thousand clusters."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"cluster": rng.integers(0, 30, 200), "label": rng.choice(list("abc"), 200)})
    expected = table.groupby("cluster")["label"].agg(lambda labels: labels.mode().iloc[0])
    assert most_frequent_labels(table)["label"].to_dict() == expected.to_dict()


@pytest.mark.parametrize("protocol", ["clean", "published"])
@pytest.mark.parametrize(("use", "count"), [(80, 80), (0.25, 100)])
def test_a_share_of_the_images_may_do(protocol, use, count):
    table = assign(many(400), SETTINGS | {"protocol": protocol, "use": use})
    assert len(table) == count
    assert table["label"].value_counts().to_dict() == {"b": count / 2, "a": count / 4, "c": count / 4}
    # the index still goes with its image: it becomes the row of the tensors
    assert (table["path"] == [f"{i}.png" for i in table.index]).all()


def test_patients_named_by_numbers_and_words_stay_whole(tmp_path):
    """So many lines that a reader guesses types piece by piece: patient 7 is one patient throughout."""
    count = 300_000
    patients = [i // 3 % (count // 6) for i in range(count)]  # each in the first half and in the second
    table = many(count).assign(error="", label=["ab"[patient % 2] for patient in patients], group=patients)
    table["group"] = table["group"].astype(str)
    table.loc[table.index[-1], "group"] = "x1"
    table.to_csv(tmp_path / "inventory.csv", index=False)
    write_split(SETTINGS, str(tmp_path / "inventory.csv"), str(tmp_path / "split.csv"))
    made = pd.read_csv(tmp_path / "split.csv")
    assert made["part"].groupby(table["group"]).nunique().max() == 1


def test_classes_named_by_numbers_keep_their_names(tmp_path):
    many(80).assign(error="", label=["00", "01"] * 40).to_csv(tmp_path / "inventory.csv", index=False)
    write_split(SETTINGS, str(tmp_path / "inventory.csv"), str(tmp_path / "split.csv"))
    assert set(pd.read_csv(tmp_path / "split.csv", dtype=str)["label"]) == {"00", "01"}


def test_every_class_is_in_every_part(tmp_path):
    rare = many(203).assign(error="", label=["a"] * 100 + ["b"] * 100 + ["c"] * 3)
    rare.to_csv(tmp_path / "inventory.csv", index=False)
    with pytest.raises(MedgridError, match="of the 3 images of class c none is for (validation|test); change"):
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
    parted = assign(table, SETTINGS, near_duplicates=[(0, 1), (300, 2), (301, 5)])
    assert parted.loc[[0, 1, 2, 5, 300, 301], "cluster"].nunique() == 1
    assert parted["cluster"].nunique() == 400 - 5


@pytest.mark.parametrize("protocol", ["published", "clean"])
def test_what_is_tested_says_whether_training_shows_it(protocol):
    """By brute force over all pairs."""
    rng = np.random.default_rng(3)
    table = many(300)
    table.loc[:59, "pixels_sha256"] = [f"p{i // 2}" for i in range(60)]
    near_duplicates = [(int(a), int(a) + 1) for a in rng.choice(np.arange(60, 298), 60, replace=False)]
    parted = assign(table, SETTINGS | {"protocol": protocol}, near_duplicates=near_duplicates)
    same = np.eye(300, dtype=bool)
    for a, b in [*near_duplicates, *((i, i + 1) for i in range(0, 60, 2))]:
        same[a, b] = same[b, a] = True
    for _ in range(9):  # what one image ties to two others is one picture of three
        same = (same.astype(int) @ same) > 0
    train = (parted["part"] == "train").to_numpy()
    expected = {i: ("" if train[i] else "yes" if (same[i] & train).any() else "no") for i in range(300)}
    assert parted["near_duplicate"].to_dict() == expected
    assert ("yes" in expected.values()) == (protocol == "published")


def test_unlabelled_images_and_validating_test_images_have_their_say(images):
    table = images.copy()
    table.loc[::7, "label"] = ""
    parted = assign(table, SETTINGS | {"protocol": "published", "validation": "test"})
    assert set(parted.loc[parted["part"].isin(["train", "unlabelled"]), "near_duplicate"]) == {""}
    both = parted[parted["part"].isin(["validation", "test"])].groupby("path")["near_duplicate"].agg(list)
    assert all(one == other for one, other in both)
    assert {one for one, _ in both} == {"yes", "no"}

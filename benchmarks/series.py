"""File order and series in real archives: what they find, and what they change for clean splits.

    python benchmarks/series.py --mirror DIR

reads the brain tumour archive and the X-rays from a mirror folder, with the settings in params.yaml. A lookup is the
label of the training image with the nearest 16 px thumbnail: the accuracy that a network should exceed.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from medgrid.audit.file_order import file_order
from medgrid.config import Params, load, read_yaml
from medgrid.data.clusters import NEAR_DUPLICATES, cluster_ids, cluster_ids_with_groups, read_images
from medgrid.data.inventory import write_inventory
from medgrid.data.near_duplicates import write_near_duplicates
from medgrid.data.nearest_thumbnail import nearest, shrink
from medgrid.data.series import series_ids, stems_and_positions
from medgrid.data.split import assign
from medgrid.evaluation.resampling import estimate_over_splits

ROOT = Path(__file__).parent.parent
SCANS = ["glioma", "meningioma", "pituitary"]  # classes whose file numbers follow scans
BLOCKS = (3, 10, 20, 40)
LARGEST = 0.25  # share of the images in one cluster from which no split has parts of the sizes that are asked for
SHUFFLED = 20  # times that file names are shuffled, as a control


class Images(NamedTuple):
    """Images of an archive that decode."""

    table: pd.DataFrame  # rows of the inventory
    thumbnails: np.ndarray  # uint8 [N, SIZE, SIZE]
    pairs: pd.DataFrame  # see `find_pairs`

    def shuffled(self, seed: int = 0) -> "Images":
        """The same images with file names shuffled within each folder."""
        paths, rng = self.table["path"], np.random.default_rng([1, seed])
        folders = paths.str.rpartition("/")[0]
        return self._replace(table=self.table.assign(path=paths.groupby(folders).transform(rng.permutation)))

    def one_of_each_patient(self) -> "Images":
        """The first image of each group. Without pairs: the X-rays have a single one, of one patient."""
        rows = np.flatnonzero(~self.table.duplicated("group"))
        return Images(self.table.iloc[rows].reset_index(drop=True), self.thumbnails[rows], self.pairs[:0])


def read(params: Params, key: str, mirror: str) -> Images:
    """Inventory, thumbnails and near-duplicates of a data set in params.yaml."""
    dataset = params.datasets[key]
    archive = str(Path(mirror, f"{dataset.kaggle.slug}.zip"))
    with tempfile.TemporaryDirectory() as folder:
        inventory, pairs, thumbnails = (f"{folder}/{name}" for name in ("images.csv", "pairs.csv", "thumbnails.npz"))
        write_inventory(dataset.model_dump(mode="json") | {"dataset": key}, archive, inventory)
        write_near_duplicates({}, archive, inventory, pairs, thumbnails)
        with np.load(thumbnails) as arrays:
            return Images(read_images(inventory), arrays["thumbnails"], pd.read_csv(pairs))


def print_file_order(title: str, images: Images) -> None:
    order = file_order(images.table, shrink(images.thumbnails), images.pairs)
    for name, row in {**order["classes"], "all": order}.items():
        shares = f"{100 * row['observed']:.1f} | {100 * row['shuffled']:.1f} | {row['p']:.3f}"
        print(f"| {title} | {name} | {row['images']} | {shares} |", flush=True)


def print_control(title: str, images: Images) -> None:
    """Means over shuffled names, of all classes, and how often they are called significant (nominal: 5 %)."""
    small = shrink(images.thumbnails)
    orders = [file_order(images.shuffled(seed).table, small, images.pairs) for seed in range(SHUFFLED)]
    observed, shuffled = (100 * np.mean([order[name] for order in orders]) for name in ("observed", "shuffled"))
    significant = sum(order["p"] <= 0.05 for order in orders)
    print(
        f"| {title}, names shuffled | all | {orders[0]['images']} | {observed:.1f} | {shuffled:.1f} "
        f"| p <= 0.05: {significant} of {SHUFFLED} |",
        flush=True,
    )


def accuracy(images: Images, small: np.ndarray, table: pd.DataFrame) -> float:
    """Accuracy, 0..1, of the lookup on the test images of a split."""
    labels = images.table["label"].to_numpy()
    train, test = (table.index[table["part"] == part].to_numpy() for part in ("train", "test"))
    return float((labels[nearest(small, train, test)] == labels[test]).mean())


def print_choice(title: str, images: Images, settings: dict[str, Any], splits: int, series: Any = None) -> None:
    """One row: clusters, the largest one, and the mean accuracy of the lookup with its interval over `splits`."""
    table, pairs = images.table, images.pairs
    ids = series_ids(table, images.thumbnails, pairs, series) if series else None
    sizes = np.bincount(cluster_ids_with_groups(table, pairs, ids))
    floor = "- | - | -"
    if sizes.max() < LARGEST * len(table):
        floor = floor_over_splits(images, [assign(table, settings | {"seed": i}, pairs, ids) for i in range(splits)])
    print(f"| {title} | {len(sizes)} | {sizes.max()} | {floor} |", flush=True)


def floor_over_splits(images: Images, tables: list[pd.DataFrame]) -> str:
    """Accuracy of the lookup in %, with its corrected 95 % interval over splits; its range; sizes of test parts.

    The correction counts clusters of the parts test and train, since the lookup does not use validation images.
    """
    small = shrink(images.thumbnails)
    values = 100 * np.array([accuracy(images, small, table) for table in tables])
    clusters = [
        [table.loc[table["part"] == part, "cluster"].nunique() for part in ("test", "train")] for table in tables
    ]
    measured = estimate_over_splits(values[:, None], *np.mean(clusters, axis=0))
    half = measured.interval()[1] - measured.value
    tested = [(table["part"] == "test").sum() for table in tables]
    ranges = f"{values.min():.1f} to {values.max():.1f} | {min(tested)} to {max(tested)}"
    return f"{measured.value:.1f} ± {half:.1f} | {ranges}"


def print_choices(images: Images, settings: dict[str, Any], splits: int) -> None:
    alone = images._replace(pairs=images.pairs[:0])
    print_choice("none", alone, settings, splits)
    print_choice("near-duplicates", images, settings, splits)
    print_choice("chains", images, settings, splits, "chains")
    print_choice("chains, names shuffled", images.shuffled(), settings, splits, "chains")
    for size in BLOCKS:
        print_choice(f"blocks of {size}", images, settings, splits, {"blocks": size, "classes": SCANS})
    print_choice("blocks of 10, all classes", images, settings, splits, {"blocks": 10, "classes": None})


def print_shared_order(images: Images) -> None:
    """Whether the archive's test images follow the order of its training images, in each class."""
    table, small = images.table, shrink(images.thumbnails)
    positions = stems_and_positions(table["path"])[1]
    is_test = table["original_split"].str.lower().str.startswith("test").to_numpy()
    near_duplicates = cluster_ids(len(table), images.pairs, NEAR_DUPLICATES)
    unique = ~np.isin(near_duplicates, near_duplicates[is_test]) | is_test
    for label, rows in table.groupby("label").indices.items():
        train, test = (rows[(is_test[rows] == side) & unique[rows]] for side in (False, True))
        rank = spearmanr(positions[test], positions[nearest(small, train, test)]).statistic
        print(f"  {label}: {rank:.2f}")


def print_joins(images: Images) -> None:
    """What chains join, compared with the patients that file names tell (in the brain tumour archive: none)."""
    table = images.table
    for title, each in (("as they are", images), ("names shuffled", images.shuffled())):
        # patients belong to images, whatever their names
        groups = table["group"].to_numpy()
        ids = series_ids(each.table, each.thumbnails, each.pairs, "chains")
        stems, positions = stems_and_positions(each.table["path"])
        order = np.lexsort((positions, stems))
        one, other = order[:-1], order[1:]
        joined, consecutive = (ids[one] == ids[other]), (stems[one] == stems[other]) & (stems[one] >= 0)
        same = (groups[one] == groups[other]) & (groups[one] != "")
        for kind, rows in (("one patient", same), ("two patients (or unknown)", ~same)):
            if count := (consecutive & rows).sum():
                share = 100 * (joined & consecutive & rows).sum() / count
                print(f"  {title}: of {count} consecutive images of {kind}, {share:.1f} % are joined", flush=True)


def print_archive_split(images: Images, series: str | None) -> None:
    """Sizes of the parts and the lookup on the archive's own test folder."""
    settings = {"by": "archive", "test": None, "validation": 0.15, "use": None, "balanced": False, "seed": 42}
    ids = series_ids(images.table, images.thumbnails, images.pairs, series) if series else None
    for protocol in ("published", "clean"):
        table = assign(images.table, settings | {"protocol": protocol}, images.pairs, ids)
        floor = 100 * accuracy(images, shrink(images.thumbnails), table)
        print(f"  {protocol}: {table['part'].value_counts().to_dict()}, lookup {floor:.1f} %")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mirror", required=True, help="folder with the archives, as for medgrid run")
    parser.add_argument("--splits", type=int, default=10, help="random clean splits for each choice of series")
    options = parser.parse_args()
    params = load(read_yaml(ROOT / "params.yaml"))
    settings = params.studies["brain_tumor_lr_batch"].split.model_dump(mode="json") | {"protocol": "clean"}
    tumours, rays = (read(params, key, options.mirror) for key in ("brain_tumor_mri", "chest_xray_224"))
    print("| archive | class | images | close number, % | if shuffled, % | p |")
    for title, images in (("brain tumour", tumours), ("X-rays", rays)):
        print_file_order(title, images)
        print_control(title, images)
    print_file_order("X-rays, one image of each patient", rays.one_of_each_patient())
    print("| series | clusters | largest | lookup, % | range | test images |")
    print_choices(tumours, settings, options.splits)
    print("position of test images and of their nearest training images, rank correlation:")
    print_shared_order(tumours)
    for title, images in (("brain tumour", tumours), ("X-rays", rays)):
        print(f"{title}, chains and patients:")
        print_joins(images)
    for title, images, series in (("X-rays", rays, None), ("brain tumour", tumours, "chains")):
        print(f"{title}, split by the archive:")
        print_archive_split(images, series)


if __name__ == "__main__":
    main()

"""Clusters of images: connected components of the pairs that `medgrid.data.near_duplicates` finds, and of groups."""

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

# least correlation of near-duplicates after alignment: of the images, and of their details. Pairs near these values
# are altered copies or slices of one scan (benchmarks/README.md has recall, and precision near the thresholds)
NEAR_DUPLICATE_CORRELATIONS = (0.985, 0.96)

# kinds of pairs that make a cluster, from strict to lenient
SAME_FILE = ["file"]
SAME_PIXELS = ["file", "pixels"]
NEAR_DUPLICATES = ["file", "pixels", "near_duplicate"]


def margin(pairs: pd.DataFrame) -> pd.Series:
    """How far pairs are above the thresholds of near-duplicates: 1 for copies, 0 at a threshold, negative below.

    Of the columns `correlation` and `detail`, the lower counts, each as a share of the way from its threshold to 1.
    """
    least, least_detail = NEAR_DUPLICATE_CORRELATIONS
    shares = [(pairs["correlation"] - least) / (1 - least), (pairs["detail"] - least_detail) / (1 - least_detail)]
    return pd.concat(shares, axis=1).min(axis=1)


def read_images(inventory: str) -> pd.DataFrame:
    """The images of an inventory that decode, in its order; all columns are text."""
    # pandas would guess types chunk by chunk, and patient 7 could be a number in one chunk and text in another
    images = pd.read_csv(inventory, keep_default_na=False, dtype=str)
    return images[images["error"] == ""].reset_index(drop=True)


def cluster_ids(size: int, pairs: pd.DataFrame, kinds: list[str]) -> np.ndarray:
    """Cluster of each of `size` images, int [size]: pairs of these kinds connect images, also by way of others."""
    ends = pairs.loc[pairs["kind"].isin(kinds), ["first", "second"]].to_numpy(int)
    return components(ends[:, 0], ends[:, 1], size)


def weakest_links(size: int, pairs: pd.DataFrame) -> pd.DataFrame:
    """The pair by which each cluster of near-duplicates among `size` images hangs together, by cluster id.

    Without the pairs of a lower margin, the cluster stays whole; without this one and those, it falls apart (the edge
    of the lowest margin in the maximum spanning tree). Columns: those of `find_pairs`.
    """
    edges = pairs[pairs["kind"].isin(NEAR_DUPLICATES)]
    edges = edges.assign(margin=margin(edges))
    # a graph has no edges of weight 0; margins are between 0 and 1
    ends = edges["first"], edges["second"]
    tree = minimum_spanning_tree(coo_matrix((2 - edges["margin"], ends), shape=(size, size)).tocsr()).tocoo()
    in_tree = edges[np.isin(edges["first"] * size + edges["second"], tree.row.astype(int) * size + tree.col)]
    clusters = cluster_ids(size, pairs, NEAR_DUPLICATES)[in_tree["first"]]
    weakest = in_tree.assign(cluster=clusters).sort_values("margin", kind="stable").drop_duplicates("cluster")
    return weakest.drop(columns="margin").set_index("cluster")


def cluster_ids_with_groups(
    images: pd.DataFrame, pairs: pd.DataFrame, series: np.ndarray | None = None
) -> np.ndarray:
    """Cluster of each image, int [N], connected by near-duplicates, groups (patients) and, if given, series.

    `series`: int [N], see `medgrid.data.series`.
    Connections are transitive: if a copy of one patient's image has another patient's name, all images of both
    patients form one cluster.
    """
    # an image without a group is a group of its own; paths are unique
    groups = pd.factorize(images["group"].where(images["group"] != "", images["path"]))[0]
    clusters = _united(cluster_ids(len(images), pairs, NEAR_DUPLICATES), groups)
    return clusters if series is None else _united(clusters, series)


def _united(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The finest clusters, int [N], that contain both the clusters `one` and `other`, int [N] each."""
    # a graph whose nodes are the clusters of both, and whose edges are images
    other = other + one.max() + 1
    return pd.factorize(components(one, other, other.max() + 1)[one])[0]


def components(starts: np.ndarray, ends: np.ndarray, nodes: int) -> np.ndarray:
    """Connected component of each node of a graph with edges from `starts` to `ends`."""
    graph = coo_matrix((np.ones(len(starts)), (starts, ends)), shape=(nodes, nodes))
    return connected_components(graph, directed=False)[1]

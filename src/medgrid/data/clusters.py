"""Images that pairs tie together, and the kinds of such pairs; `medgrid.data.near_duplicates` finds the pairs."""

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

# correlation of aligned images, and of their details, from which two show the same picture; below lie mostly slices
# of one scan (benchmarks/README.md has what other numbers find and miss)
THRESHOLDS = (0.985, 0.96)
# kinds of pairs that tell, in the order of certainty
FILE, PIXELS, SAME_PICTURE = ["file"], ["file", "pixels"], ["file", "pixels", "near_duplicate"]


def read_images(inventory: str) -> pd.DataFrame:
    """The images of an inventory that decode, in its order; text throughout."""
    # pandas would guess types chunk by chunk, and patient 7 could be a number here and a word there
    images = pd.read_csv(inventory, keep_default_na=False, dtype=str)
    return images[images["error"] == ""].reset_index(drop=True)


def cluster_ids(size: int, pairs: pd.DataFrame, kinds: list[str]) -> np.ndarray:
    """Number of the cluster of each of `size` rows that pairs of these kinds tie together, also by way of others."""
    ends = pairs.loc[pairs["kind"].isin(kinds), ["first", "second"]].to_numpy(int)
    graph = coo_matrix((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(size, size))
    return connected_components(graph, directed=False)[1]

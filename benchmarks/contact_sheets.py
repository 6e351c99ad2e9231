"""Contact sheets of the pairs nearest to the thresholds of near-duplicates, to be judged by eye.

    python benchmarks/contact_sheets.py sheets ARCHIVE.zip --out DIR
    python benchmarks/contact_sheets.py precision JUDGED.csv

`sheets` writes DIR/accepted-01.png, ..., DIR/rejected-01.png, ... and DIR/pairs.csv, whose column `judgement` is to be
filled in: `same` picture, `slice` (a neighbouring slice of one scan), or `other`. `precision` prints the share of
pairs on each side that show the same picture, with its 95 % interval (Wilson).
"""

import argparse
import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
from PIL import ImageDraw
from statsmodels.stats.proportion import proportion_confint

from medgrid.data.alignment import correlations
from medgrid.data.candidates import find_candidates, signatures
from medgrid.data.clusters import NEAR_DUPLICATE_CORRELATIONS
from medgrid.data.inventory import IMAGE_SUFFIXES, LITTER, describe
from medgrid.data.tensors import to_8_bit
from medgrid.data.thumbnails import make_thumbnails

SIDE, CAPTION, COLUMNS, ROWS = 190, 14, 4, 5  # px of an image and of its caption; pairs of a sheet
SAME = "same"


def measured_pairs(archive: str) -> pd.DataFrame:
    """Candidate pairs of a zip, each picture once: first and second (paths), correlation, detail, distance.

    distance: from the thresholds, as a share of the way to 1; of the correlation that is nearer to failing. Negative
    for pairs that are not near-duplicates.
    """
    with zipfile.ZipFile(archive) as opened:
        names = sorted(name for name in opened.namelist() if Path(name).suffix.lower() in IMAGE_SUFFIXES)
    rows = [row for row, _ in describe(archive, [name for name in names if not LITTER.search(name)])]
    images = pd.DataFrame(rows).query("error == ''").drop_duplicates("pixels_sha256")
    thumbnails, _ = make_thumbnails(archive, list(images["path"]))
    pairs = find_candidates(signatures(thumbnails)).pairs
    values, paths = correlations(thumbnails, pairs), images["path"].to_numpy()
    limits = np.array(NEAR_DUPLICATE_CORRELATIONS)
    distance = ((values - limits) / (1 - limits)).min(1)
    columns = {"first": paths[pairs[:, 0]], "second": paths[pairs[:, 1]]}
    return pd.DataFrame(columns | {"correlation": values[:, 0], "detail": values[:, 1], "distance": distance})


def nearest_to_the_thresholds(pairs: pd.DataFrame, count: int) -> pd.DataFrame:
    """At most `count` accepted and `count` rejected pairs, nearest first, without a picture that is shown already.

    Many pairs of one cluster would be judged alike, so each image is in one pair of a side only.
    """
    sides = []
    for side, of_side in (("accepted", pairs["distance"] >= 0), ("rejected", pairs["distance"] < 0)):
        shown, rows = set(), []
        for row in pairs[of_side].assign(size=pairs["distance"].abs()).sort_values("size").to_dict("records"):
            if len(rows) < count and not shown & {row["first"], row["second"]}:
                shown |= {row["first"], row["second"]}
                rows.append({"side": side, "number": len(rows) + 1} | row)
        sides.append(pd.DataFrame(rows))
    return pd.concat(sides, ignore_index=True).drop(columns=["size", "distance"]).assign(judgement="")


def draw_sheet(archive: zipfile.ZipFile, pairs: pd.DataFrame) -> PIL.Image.Image:
    """A sheet of at most COLUMNS * ROWS pairs: both images, squeezed to squares, below number and correlations."""
    cell = 2 * SIDE + 8, SIDE + CAPTION
    sheet = PIL.Image.new("L", (COLUMNS * cell[0], ROWS * cell[1]), 255)
    pen = ImageDraw.Draw(sheet)
    for place, row in enumerate(pairs.to_dict("records")):
        left, top = place % COLUMNS * cell[0], place // COLUMNS * cell[1]
        text = f"{row['number']}: {row['correlation']:.4f} {row['detail']:.4f} {Path(row['first']).parent.name}"
        pen.text((left, top), text, 0)
        for i, name in enumerate((row["first"], row["second"])):
            with PIL.Image.open(io.BytesIO(archive.read(name))) as image:
                sheet.paste(to_8_bit(image, "grey").resize((SIDE, SIDE)), (left + i * SIDE, top + CAPTION))
    return sheet


def write_sheets(archive: str, out: Path, count: int) -> None:
    """Write the sheets and pairs.csv into `out`."""
    chosen = nearest_to_the_thresholds(measured_pairs(archive), count)
    out.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive) as opened:
        for side, pairs in chosen.groupby("side"):
            for start in range(0, len(pairs), COLUMNS * ROWS):
                sheet = draw_sheet(opened, pairs.iloc[start : start + COLUMNS * ROWS])
                sheet.save(out / f"{side}-{start // (COLUMNS * ROWS) + 1:02d}.png")
    chosen.to_csv(out / "pairs.csv", index=False, float_format="%.4f")


def print_precision(judged: str) -> None:
    """Print a Markdown table of the judgements of each side."""
    print("| side | pairs | same | % (95 %) | other judgements |\n|---|---:|---:|---:|---|")
    for side, pairs in pd.read_csv(judged).groupby("side"):
        same, size = (pairs["judgement"] == SAME).sum(), len(pairs)
        low, high = proportion_confint(same, size, method="wilson")
        others = pairs.loc[pairs["judgement"] != SAME, "judgement"].value_counts().to_dict()
        print(f"| {side} | {size} | {same} | {100 * same / size:.0f} ({100 * low:.0f} to {100 * high:.0f}) | {others} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    sheets = commands.add_parser("sheets")
    sheets.add_argument("archive")
    sheets.add_argument("--out", type=Path, required=True)
    sheets.add_argument("--count", type=int, default=100, help="pairs on each side of the thresholds")
    commands.add_parser("precision").add_argument("judged")
    arguments = parser.parse_args()
    if arguments.command == "sheets":
        write_sheets(arguments.archive, arguments.out, arguments.count)
    else:
        print_precision(arguments.judged)


if __name__ == "__main__":
    main()

"""Contact sheets of the pairs nearest to the thresholds of near-duplicates, to be judged by eye.

    python benchmarks/contact_sheets.py sheets ARCHIVE.zip --out DIR
    python benchmarks/contact_sheets.py counts JUDGED.csv

`sheets` writes DIR/accepted-01.png, ..., DIR/rejected-01.png, ... (pairs as they are), the same for pairs of which
one image is mirrored or turned (turned-accepted, turned-rejected), random-01.png, ... (accepted pairs at random, at
most one of each image), and DIR/pairs.csv, whose column `judgement` is to be filled in: `same` picture, `slice`
(another slice of a scan) or `other`. `counts` prints how many pairs of each sample show the same picture, and for the
random sample the 95 % interval of their share (Wilson). The others are all the pairs nearest to a threshold, not a
sample from a larger number, so they have no interval.
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

from medgrid.data.clusters import margin
from medgrid.data.inventory import IMAGE_SUFFIXES, LITTER, describe
from medgrid.data.near_duplicates import align_candidates
from medgrid.data.orientations import BY_NAME, UPRIGHT
from medgrid.data.tensors import to_8_bit
from medgrid.data.thumbnails import make_thumbnails

SIDE, CAPTION, COLUMNS, ROWS = 190, 14, 4, 5  # px of an image and of its caption; pairs of a sheet
SAME, RANDOM = "same", "random"


def measured_pairs(archive: str) -> pd.DataFrame:
    """Candidate pairs of a zip, without exact copies: first and second (paths), orientation, correlation, detail."""
    with zipfile.ZipFile(archive) as opened:
        names = sorted(name for name in opened.namelist() if Path(name).suffix.lower() in IMAGE_SUFFIXES)
    rows = [row for row, _ in describe(archive, [name for name in names if not LITTER.search(name)])]
    images = pd.DataFrame(rows).query("error == ''").drop_duplicates("pixels_sha256")
    thumbnails, _ = make_thumbnails(archive, list(images["path"]))
    pairs, paths = align_candidates(thumbnails)[0], images["path"].to_numpy()
    return pairs.assign(first=paths[pairs["first"]], second=paths[pairs["second"]])


def samples(pairs: pd.DataFrame, count: int) -> pd.DataFrame:
    """At most `count` pairs of each sample: nearest to the thresholds first, or drawn from all accepted ones.

    Each image is in at most one pair of a sample.
    """
    distance = margin(pairs)
    pairs = pairs.assign(distance=distance.abs())
    accepted, upright = distance >= 0, pairs["orientation"] == UPRIGHT.name
    tables = {
        "accepted": pairs[accepted & upright].sort_values("distance"),
        "rejected": pairs[~accepted & upright].sort_values("distance"),
        "turned-accepted": pairs[accepted & ~upright].sort_values("distance"),
        "turned-rejected": pairs[~accepted & ~upright].sort_values("distance"),
        RANDOM: pairs[accepted].sample(frac=1, random_state=0),
    }
    chosen = [_first_of_each_picture(table, count).assign(sample=name) for name, table in tables.items()]
    table = pd.concat(chosen, ignore_index=True).assign(judgement="")
    table["number"] = table.groupby("sample").cumcount() + 1
    return table[["sample", "number", "first", "second", "orientation", "correlation", "detail", "judgement"]]


def _first_of_each_picture(pairs: pd.DataFrame, count: int) -> pd.DataFrame:
    """The first `count` pairs without an image that is shown already: pairs of one cluster would be judged alike."""
    shown, rows = set(), []
    for row in pairs.to_dict("records"):
        if len(rows) < count and not shown & {row["first"], row["second"]}:
            shown |= {row["first"], row["second"]}
            rows.append(row)
    return pd.DataFrame(rows, columns=pairs.columns)


def draw_sheet(archive: zipfile.ZipFile, pairs: pd.DataFrame) -> PIL.Image.Image:
    """A sheet of at most COLUMNS * ROWS pairs: both images as squares, the first turned to the second."""
    cell = 2 * SIDE + 8, SIDE + CAPTION
    sheet = PIL.Image.new("L", (COLUMNS * cell[0], ROWS * cell[1]), 255)
    pen = ImageDraw.Draw(sheet)
    for place, row in enumerate(pairs.to_dict("records")):
        left, top = place % COLUMNS * cell[0], place // COLUMNS * cell[1]
        text = f"{row['number']}: {row['correlation']:.4f} {row['detail']:.4f} {Path(row['first']).parent.name}"
        text += f" {row['orientation']}"
        pen.text((left, top), text, 0)
        for i, orientation in enumerate((BY_NAME[row["orientation"]], UPRIGHT)):
            with PIL.Image.open(io.BytesIO(archive.read(row[("first", "second")[i]]))) as image:
                pixels = np.asarray(to_8_bit(image, "grey").resize((SIDE, SIDE)))
            turned = PIL.Image.fromarray(np.ascontiguousarray(orientation.of_images(pixels[None])[0]))
            sheet.paste(turned, (left + i * SIDE, top + CAPTION))
    return sheet


def write_sheets(archive: str, out: Path, count: int) -> None:
    """Write the sheets and pairs.csv into `out`."""
    chosen = samples(measured_pairs(archive), count)
    out.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive) as opened:
        for name, pairs in chosen.groupby("sample"):
            for start in range(0, len(pairs), COLUMNS * ROWS):
                sheet = draw_sheet(opened, pairs.iloc[start : start + COLUMNS * ROWS])
                sheet.save(out / f"{name}-{start // (COLUMNS * ROWS) + 1:02d}.png")
    chosen.to_csv(out / "pairs.csv", index=False, float_format="%.4f")


def print_counts(judged: str) -> None:
    """Print a Markdown table of the judgements of each sample."""
    print("| sample | pairs | same | other judgements |\n|---|---:|---:|---|")
    table = pd.read_csv(judged, keep_default_na=False)
    for name, pairs in table[table["judgement"] != ""].groupby("sample", sort=False):
        same, size = (pairs["judgement"] == SAME).sum(), len(pairs)
        others = pairs.loc[pairs["judgement"] != SAME, "judgement"].value_counts().to_dict()
        interval = ""
        if name == RANDOM:
            low, high = proportion_confint(same, size, method="wilson")
            interval = f" ({100 * low:.0f} to {100 * high:.0f} %)"
        print(f"| {name} | {size} | {same}{interval} | {others} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    sheets = commands.add_parser("sheets")
    sheets.add_argument("archive")
    sheets.add_argument("--out", type=Path, required=True)
    sheets.add_argument("--count", type=int, default=100, help="pairs of each sample")
    commands.add_parser("counts").add_argument("judged")
    arguments = parser.parse_args()
    if arguments.command == "sheets":
        write_sheets(arguments.archive, arguments.out, arguments.count)
    else:
        print_counts(arguments.judged)


if __name__ == "__main__":
    main()

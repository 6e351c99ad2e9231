"""Labels from a table in the archive, as competitions have it, instead of folder names."""

import csv
import io
import zipfile

from medgrid.config import LabelTable
from medgrid.utils.errors import MedgridError


def read_label_table(archive: zipfile.ZipFile, labels: LabelTable, key: str) -> dict[str, str]:
    """Class of each id in the CSV `labels.file`; rows with an empty id or label are skipped.

    Raises MedgridError, with the settings `key` in its text, when the file or a column is missing, the file is no
    CSV in UTF-8, or an id has two classes.
    """
    if labels.file not in archive.namelist():
        csv_files = sorted(name for name in archive.namelist() if name.lower().endswith(".csv"))
        raise MedgridError(
            f"{key}.file: the archive has no {labels.file} (it contains {', '.join(csv_files) or 'no CSV files'})"
        )
    table: dict[str, str] = {}
    try:
        with io.TextIOWrapper(archive.open(labels.file), "utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle)
            _check_columns(list(reader.fieldnames or ()), labels, key)
            for row in reader:
                image_id, value = row[labels.id], row[labels.label]
                if not (image_id and value):
                    continue
                label = labels.values.get(value, value)
                if table.setdefault(image_id, label) != label:
                    raise MedgridError(
                        f"{key}: {labels.file} gives {image_id} two classes, {table[image_id]} and {label}"
                    )
    except (UnicodeDecodeError, csv.Error) as error:
        raise MedgridError(f"{key}.file: {labels.file} is not a CSV in UTF-8: {error}") from None
    return table


def _check_columns(columns: list[str], labels: LabelTable, key: str) -> None:
    for setting in ("id", "label"):
        column = getattr(labels, setting)
        if column not in columns:
            existing = ", ".join(columns) or "none"
            raise MedgridError(f"{key}.{setting}: {labels.file} has no column {column} (its columns: {existing})")

"""Labels and groups from tables, instead of from paths."""

import csv
import hashlib
import io
import zipfile
from pathlib import Path

from medgrid.config import GroupTable, LabelTable
from medgrid.utils.errors import MedgridError


def read_label_table(archive: zipfile.ZipFile, labels: LabelTable, key: str) -> dict[str, str]:
    """Class of each id in the CSV `labels.file` of the archive; rows with an empty id or label are skipped.

    Raises MedgridError, with the settings `key` in its text, when the file or a column is missing, the file is no
    CSV in UTF-8, or an id has two classes.
    """
    content = _read_member(archive, labels.file, key)
    return _read_columns(content, labels, "label", "classes", key, labels.values)


def read_group_table(archive: zipfile.ZipFile, groups: GroupTable, path: str, key: str) -> dict[str, str]:
    """Group of each id in a CSV: the file `path` if `groups.sha256` is set, otherwise `groups.file` of the archive.

    Raises MedgridError as `read_label_table`, and when the file has another digest.
    """
    if groups.sha256 is None:
        content = _read_member(archive, groups.file, key)
    else:
        file = Path(path).expanduser()
        if not file.is_file():
            raise MedgridError(f"{key}.file: {file} does not exist")
        content = file.read_bytes()
        if (digest := hashlib.sha256(content).hexdigest()) != groups.sha256:
            raise MedgridError(
                f"{key}.sha256: {file} is not the declared file: its digest is\n  {digest}\nSet it if this table is "
                "right; the inventory and all that is made from it are then computed again"
            )
    return _read_columns(content, groups, "group", "groups", key, {})


def _read_member(archive: zipfile.ZipFile, file: str, key: str) -> bytes:
    if file not in archive.namelist():
        csv_files = sorted(name for name in archive.namelist() if name.lower().endswith(".csv"))
        raise MedgridError(
            f"{key}.file: the archive has no {file} (it contains {', '.join(csv_files) or 'no CSV files'})"
        )
    return archive.read(file)


def _read_columns(
    content: bytes, table: LabelTable | GroupTable, setting: str, plural: str, key: str, values: dict[str, str]
) -> dict[str, str]:
    """By id, the value in the column that `setting` of the `table` names, or what `values` has instead of it."""
    result: dict[str, str] = {}
    try:
        with io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle)
            _check_columns(list(reader.fieldnames or ()), table, ("id", setting), key)
            for row in reader:
                row_id, value = row[table.id], row[getattr(table, setting)]
                if not (row_id and value):
                    continue
                value = values.get(value, value)
                if result.setdefault(row_id, value) != value:
                    raise MedgridError(
                        f"{key}: {table.file} gives {row_id} two {plural}, {result[row_id]} and {value}"
                    )
    except (UnicodeDecodeError, csv.Error) as error:
        raise MedgridError(f"{key}.file: {table.file} is not a CSV in UTF-8: {error}") from None
    return result


def _check_columns(columns: list[str], table: LabelTable | GroupTable, settings: tuple[str, ...], key: str) -> None:
    for setting in settings:
        column = getattr(table, setting)
        if column not in columns:
            existing = ", ".join(columns) or "none"
            raise MedgridError(f"{key}.{setting}: {table.file} has no column {column} (its columns: {existing})")

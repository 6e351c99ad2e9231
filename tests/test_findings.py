"""Every number of docs/findings.md is in the tables that stand in a comment below it.

A block of text (a paragraph, an item, a row of a table) with numbers is followed, at once or after other such blocks,
by a comment: `<!-- from: SOURCE; SOURCE -->`. A source is a file of `results` (without suffix) or of the repository,
and after a colon, words of which a row must contain one: `lr_batch/tables/comparisons: batch size 32`. Each number of
the text must be a number of such rows, to the digits that are printed, or in per cent; signs may be left out.
"""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml
from conftest import ROOT

NUMBER = re.compile(r"(?<![\w.\-])[+\-−]?\d[\d,]*(?:\.\d+)?(?:e-\d+)?(?![\w]*\.\w)")  # noqa: RUF001
COMMENT = re.compile(r"<!-- from:(.*?)-->", re.DOTALL)


def numbers(text: str) -> list[str]:
    """Numbers as they are printed, without thousands separators and signs."""
    text = re.sub(r"`[^`]*`|\]\([^)]*\)", " ", text)  # names of files and studies, links
    return [match.strip("+-−,").replace(",", "") for match in NUMBER.findall(text)]  # noqa: RUF001


def values(content: object) -> list[float]:
    """All numbers in JSON types, also those within texts."""
    if isinstance(content, dict):
        return [value for key, each in content.items() for value in values(key) + values(each)]
    if isinstance(content, list):
        return [value for each in content for value in values(each)]
    if isinstance(content, str):
        return [float(number) for number in numbers(content)]
    return [] if content is None or isinstance(content, bool) else [float(content)]


def rows(source: str) -> list[object]:
    """Rows of a source: of a CSV file, entries of a JSON or YAML file, or lines of a text."""
    name, _, words = (part.strip() for part in source.partition(":"))
    wanted = [word.strip() for word in words.split(",") if word.strip()]
    candidates = [ROOT / "results" / f"{name}{suffix}" for suffix in (".csv", ".json")] + [ROOT / name]
    file = next((path for path in candidates if path.is_file()), None)
    assert file is not None, f"{source}: there is no such file"
    found = [row for row in entries(file) if not wanted or any(word in json.dumps(row) for word in wanted)]
    assert found, f"{source}: no row has one of these words"
    return found


def entries(file: Path) -> list[object]:
    if file.suffix == ".csv":
        return pd.read_csv(file).to_dict("records")
    if file.suffix in (".json", ".yaml"):
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        content = content.get("claims", content.get("studies", content)) if isinstance(content, dict) else content
        return [{key: each} for key, each in content.items()] if isinstance(content, dict) else content
    return file.read_text(encoding="utf-8").splitlines()


def is_among(printed: str, found: list[float]) -> bool:
    """Whether a printed number is one of the values, rounded to as many digits; in per cent or not."""
    digits = len(printed.partition(".")[2].partition("e")[0])
    if "e" in printed:
        return any(abs(float(printed) - abs(value)) <= 0.051 * abs(value) for value in found)
    half = 0.5 * 10**-digits + 1e-9
    return any(abs(float(printed) - scale * abs(value)) <= half for value in found for scale in (1, 100))


def blocks(text: str) -> list[tuple[str, str]]:
    """Texts and the comment that belongs to each."""
    parts = COMMENT.split(text)
    return list(zip(parts[::2], [*parts[1::2], ""], strict=True))


@pytest.mark.parametrize(("text", "sources"), blocks((ROOT / "docs/findings.md").read_text(encoding="utf-8")))
def test_numbers_are_in_tables(text, sources):
    printed = numbers(re.sub(r"^#.*$", "", text, flags=re.MULTILINE))
    found = [value for source in sources.split(";") if source.strip() for row in rows(source) for value in values(row)]
    missing = [number for number in printed if not is_among(number, found)]
    assert not missing, f"{missing} not in {sources.strip() or 'any table: no comment follows'}"


def test_a_number_that_no_table_has_is_found():
    found = values({"estimate": 0.00674, "text": "batch size 32"})
    assert is_among("0.67", found)
    assert is_among("32", found)
    assert not is_among("0.68", found)
    assert not is_among("64", found)
    assert numbers("**+0.67 points** (95 %: −0.1 to 1,311), `x_1.5`, ResNet-50, 3e-5") == [  # noqa: RUF001
        "0.67", "95", "0.1", "1311", "3e-5",
    ]  # fmt: skip

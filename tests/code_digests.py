"""Digests of the code that each version covers. As a script (`make bless`), record them next to the versions."""

import ast
import hashlib
import json
from pathlib import Path

from medgrid.grid.versions import VERSIONS

SOURCE = Path(__file__).parent.parent / "src/medgrid"
RECORD = Path(__file__).with_name("code_digests.json")
# files and folders, below src/medgrid, that each version covers
COVERED = {
    "data": [
        "data/__init__.py", "data/archive.py", "data/inventory.py", "data/label_table.py", "data/synthetic.py",
        "data/tensors.py", "config/dataset.py",
    ],
    "near_duplicates": [
        "data/alignment.py", "data/candidates.py", "data/clusters.py", "data/near_duplicates.py",
        "data/orientations.py", "data/thumbnails.py",
    ],
    "split": ["data/nearest_thumbnail.py", "data/series.py", "data/split.py"],
    "models": ["models", "architectures"],
    "training": ["training", "config/training.py", "config/optimizers.py", "grid/cells.py"],
    "evaluation": ["evaluation", "config/metrics.py", "config/claims.py"],
    "explanations": ["report/explanations"],
    "report": ["report"],
    "audit": ["audit"],
}  # fmt: skip
# code that no number and no page depends on
NOT_COVERED = {
    "__init__.py", "__main__.py", "check_claims.py", "cli.py", "jobs.py", "status.py", "study.py", "verdicts.py",
    "launch", "utils", "grid/__init__.py", "grid/layout.py", "grid/manifest.py", "grid/study_manifest.py",
    "grid/versions.py", "config/__init__.py", "config/base.py", "config/load.py", "config/study.py", "data/fetch.py",
    "data/kaggle.py",
}  # fmt: skip
TEXTS = (".html", ".md", ".css", ".js", ".yaml")


def shape(node) -> object:
    """A syntax tree as nested lists: without docstrings, positions and empty fields.

    `ast.dump` differs between Python versions: newer ones add fields, and leave out empty ones.
    """
    if isinstance(node, list):
        return [shape(each) for each in node]
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = {name: value for name, value in ast.iter_fields(node) if value not in (None, [])}
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
        fields["body"] = node.body[1:]
    fields.pop("kind", None)
    return [type(node).__name__, *([name, shape(value)] for name, value in sorted(fields.items()))]


def digest(sources: list[str]) -> str:
    trees = [shape(ast.parse(source)) for source in sources]
    return hashlib.sha256(json.dumps(trees).encode()).hexdigest()[:16]


def files_below(paths: list[str]) -> list[Path]:
    """Code and texts of the files and folders `paths`, sorted."""
    files = [file for path in paths for file in [SOURCE / path, *(SOURCE / path).rglob("*")] if file.is_file()]
    return sorted(file for file in files if file.suffix in (".py", *TEXTS))


def covered(version: str) -> list[Path]:
    files = files_below(COVERED[version])
    # part of a folder may have a version of its own
    others = {file for name, paths in COVERED.items() for file in files_below(paths) if name != version}
    return [file for file in files if file not in others or version != "report"]


def current() -> dict:
    digests = {}
    for name, version in VERSIONS.items():
        files = covered(name)
        texts = hashlib.sha256(b"".join(file.read_bytes() for file in files if file.suffix in TEXTS))
        code = digest([file.read_text() for file in files if file.suffix == ".py"])
        digests[name] = {"version": version, "digest": code, "texts": texts.hexdigest()[:16]}
    return digests


if __name__ == "__main__":
    RECORD.write_text(json.dumps(current(), indent=2) + "\n")

"""Digests of the packages' syntax trees. Run as a script (`make bless`) to note them beside the versions."""

import ast
import hashlib
import json
from pathlib import Path

from medgrid.grid.versions import VERSIONS

SOURCE = Path(__file__).parent.parent / "src/medgrid"
NOTED = Path(__file__).with_name("code_digests.json")


def shape(node) -> object:
    """A syntax tree as nested lists: without docstrings, positions and empty fields.

    `ast.dump` would do but for its differences between Python versions: newer ones add fields, and leave out
    empty ones.
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


def now() -> dict:
    digests = {}
    for room, version in VERSIONS.items():
        looks = sorted(path for path in (SOURCE / room).rglob("*") if path.suffix in (".html", ".md", ".css", ".js"))
        templates = hashlib.sha256(b"".join(path.read_bytes() for path in looks))
        digests[room] = {
            "version": version,
            "digest": digest([path.read_text() for path in sorted((SOURCE / room).rglob("*.py"))]),
            "templates": templates.hexdigest()[:16],
        }
    return digests


if __name__ == "__main__":
    NOTED.write_text(json.dumps(now(), indent=2) + "\n")

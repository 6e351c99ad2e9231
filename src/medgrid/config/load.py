"""Read `params.yaml` and check it, with one line for each fault that names its place."""

import difflib
import json
import re
from pathlib import Path

import yaml
from pydantic import ValidationError

from medgrid.config.base import Settings
from medgrid.config.study import Params
from medgrid.utils.errors import MedgridError


def _place(location: tuple) -> str:
    # pydantic puts the name of a union's branch or a validator into the location; keys and indices remain
    parts = [part for part in location if isinstance(part, int) or re.fullmatch(r"[\w.-]+", part)]
    branches = {"int", "float", "str", "Weights", "constrained-int", "constrained-float", "constrained-str"}
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part not in branches:
            text += f".{part}" if text else part
    return text


def _message(error: dict) -> str:
    text = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        text = "unknown key"
        fields = {name for model in Settings.__subclasses__() for name in model.model_fields}
        near = difflib.get_close_matches(str(error["loc"][-1]), fields, n=1)
        if near:
            text += "; it belongs elsewhere" if near[0] == error["loc"][-1] else f"; did you mean '{near[0]}'?"
    elif error["type"] == "missing":
        text = "this key is missing"
    elif isinstance(error["input"], str | int | float | bool | None):
        text += f" (it is {error['input']!r})"
    return text


def load(config: dict) -> Params:
    """Check a configuration as Snakemake merged it.

    Raises MedgridError that names the place of every fault, such as `studies.stroke.axes.lr[1]`.
    """
    try:
        return Params.model_validate(config)
    except ValidationError as error:
        complaints: dict[str, list[dict]] = {}
        for fault in error.errors():
            complaints.setdefault(_place(fault["loc"]), []).append(fault)
        lines = []
        for place, faults in complaints.items():
            # where a value, a list or a block may stand, every branch complains: what was given tells which was meant
            if any(other.startswith((f"{place}.", f"{place}[")) for other in complaints) and place:
                continue
            wrong = ("list_type", "dict_type", "model_type")
            meant = [f for f in faults if f["type"] not in wrong and not isinstance(f["input"], dict)]
            texts = dict.fromkeys(_message(fault) for fault in meant or faults)
            lines.append(f"  {place}: {'; or: '.join(texts)}" if place else f"  {'; '.join(texts)}")
        found = "a fault" if len(lines) == 1 else f"{len(lines)} faults"
        raise MedgridError(f"params.yaml, with its overrides, has {found}:\n" + "\n".join(lines)) from None


class _Loader(yaml.SafeLoader):
    """YAML of which no key stands twice in a block: the first would be lost without a word."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key in (key for key, _ in node.value if key.tag == "tag:yaml.org,2002:str"):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"'{key.value}' stands twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: str | Path) -> dict:
    """Read a YAML mapping; raises MedgridError with file, line and column where it is broken."""
    path = Path(path)
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506
    except FileNotFoundError:
        raise MedgridError(f"{path} does not exist; run from the project's folder") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}, column {mark.column + 1}" if mark else str(path)
        raise MedgridError(f"{where}: not YAML: {getattr(error, 'problem', None) or error}") from None
    if not isinstance(content, dict):
        raise MedgridError(f"{path}: expected keys and values, found {type(content).__name__}")
    return content


def schema() -> str:
    """JSON schema of `params.yaml`, for editors; kept in `workflow/schemas/`, in sync by a test."""
    return json.dumps(Params.model_json_schema(), indent=2, ensure_ascii=False) + "\n"

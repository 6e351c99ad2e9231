"""Read and check `params.yaml`. Errors name the key, one line for each."""

import difflib
import json
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from medgrid.config.base import Settings
from medgrid.config.study import Params
from medgrid.utils.errors import MedgridError


def _key_path(location: tuple) -> str:
    # pydantic puts names of a union's branches and of validators into the location: only keys and indices are kept
    parts = [part for part in location if isinstance(part, int) or re.fullmatch(r"[\w.-]+", part)]
    branches = {"int", "float", "str", "Weights", "GroupTable", "Blocks", "Splits"}
    branches |= {"constrained-int", "constrained-float", "constrained-str"}
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
        similar = difflib.get_close_matches(str(error["loc"][-1]), fields, n=1)
        if similar:
            known = similar[0] == error["loc"][-1]
            text += "; it belongs to another block" if known else f"; did you mean '{similar[0]}'?"
    elif error["type"] == "missing":
        text = "this key is missing"
    elif isinstance(error["input"], str | int | float | bool | None):
        text += f" (it is {error['input']!r})"
    return text


def load(config: dict) -> Params:
    """Check a configuration as Snakemake merged it.

    Raises MedgridError that names the key of every error, such as `studies.stroke.axes.lr[1]`.
    """
    try:
        return Params.model_validate(config)
    except ValidationError as error:
        by_key: dict[str, list[dict]] = {}
        for each in error.errors():
            by_key.setdefault(_key_path(each["loc"]), []).append(dict(each))
        lines = []
        for key, errors in by_key.items():
            # pydantic reports an error for each type that is allowed: keep that of the type that was given
            if key and any(other.startswith((f"{key}.", f"{key}[")) for other in by_key):
                continue
            wrong_type = ("list_type", "dict_type", "model_type")
            relevant = [e for e in errors if e["type"] not in wrong_type and not isinstance(e["input"], dict)]
            texts = dict.fromkeys(_message(each) for each in relevant or errors)
            lines.append(f"  {key}: {'; or: '.join(texts)}" if key else f"  {'; '.join(texts)}")
        count = "an error" if len(lines) == 1 else f"{len(lines)} errors"
        raise MedgridError(f"params.yaml, with its overrides, has {count}:\n" + "\n".join(lines)) from None


class _Loader(yaml.SafeLoader):
    """YAML in which a repeated key is an error: PyYAML would silently drop the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key in (key for key, _ in node.value if key.tag == "tag:yaml.org,2002:str"):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"'{key.value}' is repeated", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: str | Path) -> dict:
    """Read a YAML mapping; raises MedgridError with file, line and column where it is invalid."""
    path = Path(path)
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506
    except FileNotFoundError:
        raise MedgridError(f"{path} does not exist; run from the project's folder") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}, column {mark.column + 1}" if mark else str(path)
        raise MedgridError(f"{where}: invalid YAML: {getattr(error, 'problem', None) or error}") from None
    if not isinstance(content, dict):
        raise MedgridError(f"{path}: expected a mapping, got {type(content).__name__}")
    return content


def schema() -> str:
    """JSON schema of `params.yaml`, for editors; a test compares the copy in `workflow/schemas/`."""
    return json.dumps(Params.model_json_schema(), indent=2, ensure_ascii=False) + "\n"

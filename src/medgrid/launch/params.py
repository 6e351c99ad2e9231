"""The settings that a run would use, read without starting Snakemake."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from medgrid.config import Params, load, read_yaml
from medgrid.utils.errors import MedgridError

PARAMS = "params.yaml"


def profile_folder(name: str) -> Path:
    """Folder of a workflow profile, by path or by name. Raises MedgridError that lists the profiles there are."""
    for parent in ("", "profiles"):
        if (folder := Path(parent, name)).is_dir():
            return folder
    names = sorted(path.name for path in Path("profiles").glob("*/"))
    raise MedgridError(f"there is no profile '{name}'; the profiles are {', '.join(names)}")


def check_configfiles(files: Iterable[str]) -> None:
    """Raise MedgridError for a file of `--configfile` that does not exist."""
    for file in files:
        if not Path(file).exists():
            raise MedgridError(f"there is no file '{file}' (--configfile); targets come after `--`")


def merge(settings: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """`settings` with those of `overrides` in their place; mappings merge key by key, as in Snakemake."""
    merged = dict(settings)
    for key, value in overrides.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def read_params(profile: str = "", configfiles: Iterable[str] = ()) -> Params:
    """params.yaml with the overrides of `--configfile`, or else of the profile, as `medgrid run` would read them.

    Raises MedgridError when a file or a profile does not exist, and for settings that are not valid.
    """
    files = list(configfiles)
    check_configfiles(files)
    if not files and (profile or Path("profiles/default").is_dir()):
        file = profile_folder(profile or "default") / "config.yaml"
        named = read_yaml(file).get("configfile", []) if file.exists() else []
        files = [named] if isinstance(named, str) else named
    settings = read_yaml(PARAMS)
    for file in files:
        settings = merge(settings, read_yaml(file))
    return load(settings)

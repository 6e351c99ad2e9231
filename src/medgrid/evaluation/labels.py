"""Settings in words, for tables, figures and pages."""

import math
from typing import Any

# names of settings whose key is no word
NAMES = {"lr": "learning rate", "unfrozen": "unfrozen layers"}
# settings whose value needs no name before it
SELF_EXPLANATORY = ("model", "mode", "class", "loss", "optimizer")
ABSENT = "–"  # noqa: RUF001


def setting_name(setting: str) -> str:
    return NAMES.get(setting, setting.replace("_", " "))


def setting_value(value: Any) -> str:
    """A setting's value as a label; numbers in the shortest form, such as 1e-05 or 0.001."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ABSENT
    if isinstance(value, list | tuple):
        return ", ".join(map(setting_value, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def describe_settings(settings: dict[str, Any]) -> str:
    """Settings in words, without those that are absent."""
    return ", ".join(
        setting_value(value) if name in SELF_EXPLANATORY else f"{setting_name(name)} {setting_value(value)}"
        for name, value in settings.items()
        if value not in (None, ABSENT)
    )


def describe_level(axis: str, value: Any) -> str:
    """A value of an axis in words; a cell may lack the setting."""
    return f"without {setting_name(axis)}" if value is None else describe_settings({axis: value})


def describe_selection(selection: dict[str, list]) -> str:
    """A selection of cells (values by setting) in words."""
    settings = {name: values if len(values) > 1 else values[0] for name, values in selection.items()}
    return describe_settings(settings) or "all cells"

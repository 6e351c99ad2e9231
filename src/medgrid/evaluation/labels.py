"""How settings are called, in tables and in figures."""

import math
from typing import Any

# where a setting's key does not say it
NAMES = {"lr": "learning rate", "unfrozen": "unfrozen layers"}
# settings whose value says by itself which setting it is
SPEAKING = ("model", "mode", "class", "loss", "optimizer")
ABSENT = "–"  # noqa: RUF001


def setting_name(setting: str) -> str:
    return NAMES.get(setting, setting.replace("_", " "))


def setting_value(given: Any) -> str:
    """A setting's value as a label; rates in the shortest form, such as 1e-05 or 0.001."""
    if given is None or (isinstance(given, float) and math.isnan(given)):
        return ABSENT
    if isinstance(given, list | tuple):
        return ", ".join(map(setting_value, given))
    return f"{given:g}" if isinstance(given, float) else str(given)


def describe(settings: dict[str, Any]) -> str:
    """Settings in words, without those that are absent."""
    return ", ".join(
        setting_value(value) if name in SPEAKING else f"{setting_name(name)} {setting_value(value)}"
        for name, value in settings.items()
        if value not in (None, ABSENT)
    )

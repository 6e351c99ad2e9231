"""Code that shapes numbers has a version; changing one without the other must not go unnoticed."""

import json

from code_digests import NOTED, digest, now

HOW = (
    "the code of package '{package}' changed. If its numbers may have changed, raise its version in "
    "src/medgrid/fingerprint.py (everything made by it will be made anew). Then, or if the numbers surely stay, "
    "run `make bless`."
)


def test_changed_code_was_bumped_or_blessed():
    noted = json.loads(NOTED.read_text())
    for room, current in now().items():
        assert noted.get(room) == current, HOW.format(package=room)


def test_comments_docstrings_and_layout_do_not_count():
    one = 'def f(x):\n    """Old."""\n    return x + 1  # why\n'
    other = 'def f(\n    x,\n):\n    """New words."""\n    return x + 1\n'
    assert digest([one]) == digest([other])


def test_numbers_count():
    assert digest(["def f(x): return x + 1"]) != digest(["def f(x): return x + 2"])
    assert digest(["a = 'x'"]) != digest(["a = 'y'"])

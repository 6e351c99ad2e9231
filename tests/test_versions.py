"""Code that shapes numbers has a version; changing one without the other must not go unnoticed."""

import json

from code_digests import COVERED, NOT_COVERED, RECORD, SOURCE, covered, current, digest, files_below

from medgrid.grid.versions import VERSIONS

HOW = (
    "the code that version '{name}' covers changed. If its numbers may have changed, raise the version in "
    "src/medgrid/grid/versions.py (everything made by it will be made again). Then, or if the numbers stay the same, "
    "run `make bless`."
)


def test_changed_code_was_raised_or_blessed():
    recorded = json.loads(RECORD.read_text())
    assert set(recorded) == set(VERSIONS) == set(COVERED)
    for name, digests in current().items():
        assert recorded[name] == digests, HOW.format(name=name)


def test_every_file_is_covered_by_one_version_or_exempt():
    """What shapes numbers is covered; the rest is listed."""
    versions_of: dict = {}
    for name in VERSIONS:
        assert covered(name), name
        for file in covered(name):
            versions_of.setdefault(file, []).append(name)
    assert not [file for file, names in versions_of.items() if len(names) > 1]
    exempt = set(files_below(sorted(NOT_COVERED)))
    assert not exempt & set(versions_of)
    assert set(files_below(["."])) == exempt | set(versions_of)
    assert all((SOURCE / path).exists() for paths in [*COVERED.values(), NOT_COVERED] for path in paths)


def test_comments_docstrings_and_layout_do_not_count():
    one = 'def f(x):\n    """Old."""\n    return x + 1  # why\n'
    other = 'def f(\n    x,\n):\n    """New words."""\n    return x + 1\n'
    assert digest([one]) == digest([other])


def test_numbers_count():
    assert digest(["def f(x): return x + 1"]) != digest(["def f(x): return x + 2"])
    assert digest(["a = 'x'"]) != digest(["a = 'y'"])

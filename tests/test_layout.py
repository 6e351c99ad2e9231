"""The shape of the code: imports go one way, modules and functions are short, nothing is written twice."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

SOURCE = ROOT / "src/medgrid"
# each package imports only from those to its left
ORDER = ["utils", "architectures", "config", "grid", "data", "models", "training", "evaluation", "audit", "report"]
# and of these only from the ones listed
ONLY = {
    "data": {"utils", "config", "grid"},
    "evaluation": {"utils", "config", "grid", "training", "data"},
    "audit": {"utils", "config", "grid", "data"},
}
LONGEST_FUNCTION, LONGEST_FILE, REPEATED = 50, 400, 6  # lines
FILES = sorted(SOURCE.rglob("*.py"))


def imports(file: Path) -> set[str]:
    """Modules of medgrid that a file imports, as dotted names below medgrid."""
    modules = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {module.removeprefix("medgrid.") for module in modules if module.startswith("medgrid.")}


def test_each_package_imports_only_from_those_to_its_left():
    assert {path.name for path in SOURCE.iterdir() if (path / "__init__.py").exists()} == {*ORDER, "launch"}
    for position, package in enumerate(ORDER):
        allowed = ONLY.get(package, set(ORDER[:position])) | {package}
        for file in (SOURCE / package).rglob("*.py"):
            packages = {module.split(".")[0] for module in imports(file)} & {*ORDER, "launch"}
            assert packages <= allowed, (file, packages - allowed)


def test_evaluation_reads_predictions_and_nothing_else_of_training():
    used = {module for file in (SOURCE / "evaluation").glob("*.py") for module in imports(file)}
    modules = {".".join(module.split(".")[:2]) for module in used if module.startswith("training.")}
    assert modules == {"training.predictions"}


def test_nothing_trains_from_an_audit():
    for package in set(ORDER) - {"report", "audit"}:
        for file in (SOURCE / package).rglob("*.py"):
            assert not [module for module in imports(file) if module.startswith("audit")], file


def functions(file: Path):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            yield node.name, (node.end_lineno - body[0].lineno + 1 if body else 1)


def test_functions_and_files_are_short():
    long = [(file.name, name, lines) for file in FILES for name, lines in functions(file) if lines > LONGEST_FUNCTION]
    assert not long
    assert not [file for file in FILES if len(file.read_text().splitlines()) > LONGEST_FILE]


def test_nothing_six_lines_long_is_written_twice():
    """Six consecutive lines of code, without blank ones, comments and imports."""
    seen = defaultdict(set)
    for file in FILES:
        lines = [(number, line.strip()) for number, line in enumerate(file.read_text().splitlines(), 1)]
        code = [(n, line) for n, line in lines if len(line) > 3 and not line.startswith(("#", "from ", "import "))]
        for start in range(len(code) - REPEATED + 1):
            block = tuple(line for _, line in code[start : start + REPEATED])
            seen[block].add((str(file.relative_to(SOURCE)), code[start][0]))
    assert not {block: places for block, places in seen.items() if len(places) > 1}


@pytest.mark.parametrize("folder", ["data", "models", "training", "evaluation", "audit", "report"])
def test_a_package_s_rules_are_in_the_file_of_its_name(folder):
    """And a rule is named like the job that it runs."""
    text = (ROOT / f"workflow/rules/{folder}.smk").read_text()
    rules, jobs = re.findall(r"^rule (\w+):", text, re.M), re.findall(r'"medgrid job (\w+) ', text)
    assert set(rules) <= set(jobs)
    assert set(jobs) - set(rules) <= {"prune", "plan_report"}  # of rules for each study


def test_no_study_and_no_data_set_is_named_in_the_code(params):
    names = {*params["studies"], *params["datasets"]}
    texts = [file for kind in ("html", "md", "js") for file in SOURCE.rglob(f"*.{kind}")]
    for file in [*FILES, *texts, *(ROOT / "workflow/rules").glob("*.smk")]:
        assert not [name for name in names if name in file.read_text()], file


def test_the_graph_shows_the_rules():
    """docs/rules.svg, drawn by `make dag`."""
    drawn = set(re.findall(r">(\w+)</text>", (ROOT / "docs/rules.svg").read_text()))
    code = "\n".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    rules = set(re.findall(r"^rule (\w+):", code, re.M))
    assert drawn == rules - {"profile", "stale"} | {"histopathology_batch", "stroke_transfer", "audit_mri_stroke"}


def test_dvc_records_what_a_run_makes_in_at_most_ten_outputs():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert all(len(stage["do"]["outs"]) <= 10 for stage in stages.values())
    stage = stages["study"]["do"]
    entries = {name for kind in ("outs", "metrics", "plots") for entry in stage[kind] for name in entry}
    assert "results/report/${key}" in entries  # the page
    recorded = {name.split("/", 2)[2] for name in entries - {"results/report/${key}"}}
    rules = "\n".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    outputs = {
        name
        for block in re.findall(r"    output:\n(.*?)\n    (?:log|localrule|params|shell)", rules, re.S)
        for name in re.findall(r"\{RESULTS\}/\{\{study\}\}/([\w.]+)", block)
    }
    assert outputs - {"submissions"} | {"cards", "summary.json", "metrics.json"} == recorded


def test_no_old_names_are_left():
    """Words of earlier versions, as identifiers, settings, columns or files."""
    old = re.compile(
        r"\b(twins?|rooms?|packs?|pack_\w+|packs_of|judged_by|settled|chances|partings?|redraw|reaudit|"
        r"test_alone_\w+|nearest_alone|Trunk|TryAgain|patiently|rougher|told|wording)\b"
    )
    files = [*FILES, *(ROOT / "workflow").rglob("*.smk"), ROOT / "Snakefile", ROOT / "dvc.yaml", ROOT / "params.yaml"]
    files += [file for kind in ("html", "md", "js") for file in SOURCE.rglob(f"*.{kind}")]
    files += sorted((ROOT / "workflow/profiles").rglob("*.yaml"))
    found = [(str(file.relative_to(ROOT)), match[0]) for file in files for match in old.finditer(file.read_text())]
    assert not found
    files = [path for path in SOURCE.rglob("*") if "__pycache__" not in path.parts]
    assert not [path for path in files if old.search(path.stem.replace("_", " "))]

"""medgrid: published deep-learning studies of medical images, re-run. See docs/architecture.md."""

import json
import os
import shutil
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from medgrid.config import load, read_yaml
from medgrid.errors import MedgridError
from medgrid.grid import plan

# To compare params, Snakemake imports pandas (0.8 s) wherever it is installed; this says that it is not
sys.modules.setdefault("pandas", None)
# jobs find the `medgrid` of the environment that runs Snakemake, activated or not
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

try:
    read_yaml("params.yaml")  # names the line of a fault in YAML, which Snakemake does not
except MedgridError as error:
    raise WorkflowError(str(error)) from None


configfile: "params.yaml"


try:
    PARAMS = load(config)
    PLAN = plan(PARAMS)
except MedgridError as error:
    raise WorkflowError(str(error)) from None

DATA, RESULTS = PARAMS.data, PARAMS.results
MIRROR = str(Path(PARAMS.mirror).expanduser()) if PARAMS.mirror else ""
if MIRROR and not Path(MIRROR).is_dir():
    raise WorkflowError(f"mirror: {MIRROR} is not a folder")
DEVICE = PARAMS.device
# machine settings stay out of `params:`: where a file came from must not re-run what was made from it


def as_json(settings):
    return json.dumps(settings, ensure_ascii=False)


FRONT = as_json({"studies": list(PLAN.studies)})


wildcard_constraints:
    study="|".join(PLAN.studies),
    name=r"[^/]+",
    pack=r"[^/]+",


include: "workflow/rules/data.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        [study_files(study) for study in PARAMS.run],
    localrule: True


RULES = {each.name for each in workflow.rules}

for study in PLAN.studies:
    if study in RULES:
        raise WorkflowError(f"studies.{study}: '{study}' is the name of a rule; name the study otherwise")

    rule:
        name:
            study
        input:
            study_files(study),
        localrule: True


onsuccess:
    # only now: a pack that Snakemake had not yet noted when it was killed is put together again from these
    for checkpoints in Path(DATA, "checkpoints").glob("*/*/"):
        if Path(RESULTS, checkpoints.parent.name, "packs", checkpoints.name, "pack.json").exists():
            shutil.rmtree(checkpoints)
            Path(f"{checkpoints}.lock").unlink(missing_ok=True)
    # no rule: it leads to every study that has a page, whatever this run was asked for
    shell("medgrid front {FRONT:q} {RESULTS:q}")

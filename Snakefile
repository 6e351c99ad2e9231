"""medgrid re-runs published deep-learning studies of medical images. See docs/architecture.md."""

import json
import os
import shutil
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from medgrid.config import load, read_yaml
from medgrid.grid.layout import lay_out, seeds_of
from medgrid.launch import targets
from medgrid.utils.errors import MedgridError

# jobs find the `medgrid` of the environment that runs Snakemake, activated or not
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

try:
    read_yaml("params.yaml")  # names the line of a fault in YAML, which Snakemake does not
except MedgridError as error:
    raise WorkflowError(str(error)) from None


configfile: "params.yaml"


try:
    PARAMS = load(config)
    LAYOUT = lay_out(PARAMS)
except MedgridError as error:
    raise WorkflowError(str(error)) from None

DATA, RESULTS = PARAMS.data, PARAMS.results
SITE = f"{RESULTS}/report"
STEPS = f"{DATA}/steps"  # settings of jobs, as files
DEVICE = PARAMS.device
STUDIES = list(LAYOUT.manifests)


wildcard_constraints:
    study="|".join(STUDIES),
    dataset=r"[^/]+",
    name=r"[^/]+",
    job=r"[^/]+",
    seeds=r"seeds-\d+(-\d+)?",


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/audit.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        [study_files(study) for study in PARAMS.run],
        [audit_target(PARAMS.studies[study].dataset) for study in PARAMS.run],
    localrule: True


rule studies:
    input:
        [study_files(study) for study in STUDIES],
        [audit_target(dataset) for dataset in LAYOUT.audits],
    localrule: True


RULES = {each.name for each in workflow.rules}
FOLDERS = {"report", "assets", "audits"}  # next to those of studies

for study in STUDIES:
    if study in RULES | FOLDERS:
        kind = "rule" if study in RULES else "folder"
        raise WorkflowError(f"studies.{study}: '{study}' is the name of a {kind}; choose another name for the study")

    rule:
        name:
            study
        input:
            study_files(study),
        localrule: True


try:
    targets.check(
        {each.name for each in workflow.rules},
        STUDIES,
        lambda file: any(each.is_producer(file) for each in workflow.rules),
    )
except MedgridError as error:
    sys.exit(f"medgrid: error: {error}")  # no line of this file is wrong


onstart:
    write_steps()


onsuccess:
    # only now: until Snakemake has recorded a job as finished, it may have to be restored from its checkpoints
    for checkpoints in Path(DATA, "checkpoints").glob("*/*/"):
        study, job = checkpoints.parent.name, checkpoints.name
        # of a job with other settings, checkpoints stay: it may be asked for again
        if f"{study}/{job}" in LAYOUT.jobs and all(map(os.path.exists, job_folders(study, job))):
            shutil.rmtree(checkpoints)
    for file in Path(STEPS, "stale").glob("*"):
        file.unlink()
    # not a rule: it links every study that has a page, whatever this run was asked for
    shell("medgrid job index {STEPS:q}/index/index.json {RESULTS:q}")

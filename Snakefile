"""medgrid: published deep-learning studies of medical images, re-run. See docs/architecture.md."""

import json
import os
import shutil
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from medgrid.launch import targets
from medgrid.config import load, read_yaml
from medgrid.utils.errors import MedgridError
from medgrid.grid.layout import audit_name, plan

# To compare params, Snakemake imports pandas (0.8 s) wherever it is installed; this says that it is not
sys.modules["pandas"] = None
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
SITE = f"{RESULTS}/report"
MIRROR = str(Path(PARAMS.mirror).expanduser()) if PARAMS.mirror else ""
if MIRROR and not Path(MIRROR).is_dir():
    raise WorkflowError(f"mirror: {MIRROR} is not a folder")
DEVICE = PARAMS.device
# of this machine, without asking torch; a cluster's nodes may have others
GPUS = len(list(Path("/proc/driver/nvidia/gpus").glob("*"))) if DEVICE != "cpu" else 0
# machine settings stay out of `params:`: where a file came from must not re-run what was made from it


def as_json(settings):
    return json.dumps(settings, ensure_ascii=False)


# a cluster's jobs have as many as its profile says, with set-threads
CORES = workflow.resource_settings.cores or 1


def gpu_resources(wanted):
    """What a job asks for that computes on a GPU: a number, which SLURM gets as --gpus, or the site's own --gres."""
    wanted = wanted and DEVICE != "cpu"
    return {"gpu": int(wanted and not PARAMS.gres), "gres": PARAMS.gres if wanted and PARAMS.gres else ""}


def whole_threads():
    """Threads of a job that has a device to itself: all, or its share where several GPUs work side by side."""
    return max(1, CORES // max(1, GPUS * PARAMS.gpu_slots))


def complete(outputs):
    """Whether all of `outputs` are there, and none as a killed run left it."""
    return all(map(os.path.exists, outputs)) and not workflow.persistence._filter_incomplete_keys(outputs)


def made_from(rule, outputs, files):
    """Inputs of a job whose outputs are named after all that they were made from: none, once the outputs are there.

    They are right then, however new the inputs are and whether or not these still exist. As inputs, an archive that
    was fetched once more would train every network again. (Snakemake's `ancient` keeps such a chain together, but
    drops jobs behind it whose own outputs are missing: 9.27.)
    """
    asked = workflow.dag_settings.forcerun | ({rule} if workflow.dag_settings.forceall else set())
    return {} if asked.isdisjoint([rule, *outputs]) and complete(outputs) else files


INDEX = as_json({"studies": list(PLAN.studies)})


wildcard_constraints:
    study="|".join(PLAN.studies),
    dataset=r"[^/]+",
    name=r"[^/]+",
    job=r"[^/]+",


include: "workflow/rules/data.smk"
include: "workflow/rules/audit.smk"
include: "workflow/rules/plan.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        [study_files(study) for study in PARAMS.run],
        [whole_audit(PARAMS.studies[study].dataset) for study in PARAMS.run],
    localrule: True


rule studies:
    input:
        [study_files(study) for study in PLAN.studies],
        [whole_audit(dataset) for dataset in PLAN.audits],
    localrule: True


RULES = {each.name for each in workflow.rules}
FOLDERS = {"report", "assets", "audits"}  # beside those of studies

for study in PLAN.studies:
    if study in RULES | FOLDERS:
        kind = "rule" if study in RULES else "folder"
        raise WorkflowError(f"studies.{study}: '{study}' is the name of a {kind}; name the study otherwise")

    rule:
        name:
            study
        input:
            study_files(study),
        localrule: True


try:
    targets.check(
        {each.name for each in workflow.rules},
        list(PLAN.studies),
        lambda file: any(each.is_producer(file) for each in workflow.rules),
    )
except MedgridError as error:
    sys.exit(f"medgrid: error: {error}")  # no line of this file is wrong


onsuccess:
    # only now: a job that Snakemake had not yet noted when it was killed is put together again from these
    for checkpoints in Path(DATA, "checkpoints").glob("*/*/"):
        if Path(RESULTS, checkpoints.parent.name, "jobs", checkpoints.name, "job.json").exists():
            shutil.rmtree(checkpoints)
            Path(f"{checkpoints}.lock").unlink(missing_ok=True)
    for file in Path(DATA, "settings").glob("*/redraw"):
        file.unlink()
    # no rule: it leads to every study that has a page, whatever this run was asked for
    shell("medgrid index {INDEX:q} {RESULTS:q}")

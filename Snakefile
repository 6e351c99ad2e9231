"""medgrid: published deep-learning studies of medical images, re-run. See docs/architecture.md."""

from snakemake.exceptions import WorkflowError

from medgrid.config import load, read_yaml
from medgrid.errors import MedgridError
from medgrid.grid import plan

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
MIRROR, DEVICE = PARAMS.mirror or "", PARAMS.device
# machine settings stay out of `params:`: where a file came from must not re-run what was made from it


def as_json(settings):
    import json

    return json.dumps(settings, ensure_ascii=False)


wildcard_constraints:
    study="|".join(PLAN.studies),
    name=r"[^/]+",
    pack=r"[^/]+",


include: "workflow/rules/data.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/report.smk"


localrules:
    all,


rule all:
    input:
        [study_files(study) for study in PARAMS.run],
    default_target: True


for study in PLAN.studies:

    rule:
        name:
            study
        input:
            study_files(study),
        localrule: True

"""Before anything runs: what each study will cost on this device."""

from functools import cache

from medgrid.grid.versions import fingerprint


@cache
def costs(study):
    return f"{DATA}/plans/{study}-{fingerprint(PLAN.costs_of[study].settings)}"


@cache
def planned(study):
    """Costs of jobs and of features, by name, where the study has been planned."""
    file = Path(f"{costs(study)}.json")
    return json.loads(file.read_text()) if file.exists() else {"jobs": {}, "features": {}}


@cache
def planned_features():
    return {name: cost for study in PLAN.studies for name, cost in planned(study)["features"].items()}


def wants_gpu(study):
    """Whether any job of a study asks for a GPU."""
    step = PLAN.costs_of[study].settings
    return bool(step["features"]) or any(job["source"] != "features" for job in step["jobs"].values())


def minutes(cost, attempt):
    """Time to ask for: half as much again as planned, and what a file system may take; more at each attempt."""
    return attempt * (10 + int(cost["seconds"] * 1.5 / 60) if cost else 240)


def mebibytes(cost, attempt):
    """Memory to ask for, likewise."""
    return attempt * (500 + int(cost["memory_mib"] * 1.3) if cost else 8000)


def study_of(w):
    """The study that a plan's name begins with."""
    return w.name.rsplit("-", 1)[0]


rule plan_settings:
    output:
        temp(f"{DATA}/settings/{{name}}.json"),
    localrule: True
    run:
        study = study_of(wildcards)
        if not costs(study).endswith(wildcards.name):
            raise WorkflowError("settings changed while the run was starting; start it again")
        Path(output[0]).write_text(as_json(PLAN.costs_of[study].settings), encoding="utf-8")


rule profile:
    input:
        f"{DATA}/settings/{{name}}.json",
    output:
        f"{DATA}/plans/{{name}}.json",
    log:
        f"{DATA}/logs/plans/{{name}}.log",
    benchmark:
        f"{DATA}/benchmarks/plans/{{name}}.tsv"
    threads: whole_threads()
    resources:
        gpu=lambda w: gpu_resources(wants_gpu(study_of(w)))["gpu"],
        gres=lambda w: gpu_resources(wants_gpu(study_of(w)))["gres"],
        split=lambda w: f"{DATA}/splits/{PLAN.costs_of[study_of(w)].inputs['split']}.csv",
    shell:
        "medgrid profile @{input:q} {output:q} --split={resources.split:q}"
        " --device {DEVICE} --slots {PARAMS.gpu_slots} --threads {threads} > {log:q} 2>&1"


def plan_summary(studies):
    """What `medgrid costs` prints, of each study."""
    return as_json(
        [
            {
                "study": study,
                "costs": f"{costs(study)}.json",
                "cells": len(PLAN.studies[study].settings["cells"]),
                "jobs": len(PLAN.jobs_of[study]) + len(PLAN.costs_of[study].settings["features"]),
                "gpu": DEVICE != "cpu",
                "benchmarks": f"{DATA}/benchmarks/train/{study}",
            }
            for study in studies
        ]
    )


for name, studies in {"plan": PARAMS.run, **{f"plan_{study}": [study] for study in PLAN.studies}}.items():

    rule:
        # no output: it says each time what the plan is, and how finished jobs compare with it
        name:
            name
        input:
            [f"{costs(study)}.json" for study in studies],
        localrule: True
        params:
            settings=plan_summary(studies),
        shell:
            "medgrid costs {params.settings:q}"

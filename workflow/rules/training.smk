"""The trainings of a grid, and the plan: what they cost on this device."""

from medgrid.grid.versions import fingerprint

FILE_OF = {
    "features": "features/{}.npy",
    "tensors": "tensors/{}.npy",
    "weights": "weights/{}",
    "split": "splits/{}.csv",
}


@cache
def job_folders(study, job):
    """Folders of a training job: its finished blocks of seeds, and one for each run of seeds that are missing."""
    folder = f"{RESULTS}/{study}/jobs/{job}"
    existing = os.listdir(folder) if os.path.isdir(folder) else []
    return [f"{folder}/{block}" for block in LAYOUT.blocks_of(study, job, existing)]


def training_folders(study):
    return [folder for job in LAYOUT.manifests[study].all_jobs for folder in job_folders(study, job)]


def missing_folders(study):
    """Training jobs that are missing although their tables exist: Snakemake would not notice."""
    if not os.path.exists(f"{RESULTS}/{study}/tables"):
        return []  # the tables ask for all of them
    return [folder for folder in training_folders(study) if not os.path.exists(folder)]


def train_inputs(w):
    names = LAYOUT.jobs[f"{w.study}/{w.job}"].inputs
    files = {kind: f"{DATA}/{FILE_OF[kind].format(name)}" for kind, name in names.items()}
    if "features" in files:
        files["stamp"] = files["features"].replace(".npy", ".json")
    return made_from("train", [f"{RESULTS}/{w.study}/jobs/{w.job}/{w.seeds}"], files)


def source(w):
    return LAYOUT.jobs[f"{w.study}/{w.job}"].settings["source"]


def planned_job(w):
    """Planned cost of a block of seeds; None without a plan."""
    cost = planned(w.study)["jobs"].get(w.job)
    if cost is None:
        return None
    share = len(seeds_of(w.seeds)) / PARAMS.studies[w.study].seeds
    return cost | {"seconds": cost["seconds"] * min(1, share)}


rule train:
    input:
        unpack(train_inputs),
    output:
        directory(f"{RESULTS}/{{study}}/jobs/{{job}}/{{seeds}}"),
    log:
        f"{DATA}/logs/train/{{study}}/{{job}}/{{seeds}}.log",
    benchmark:
        f"{DATA}/benchmarks/train/{{study}}/{{job}}/{{seeds}}.tsv"
    # stacked networks are many small products: two jobs side by side on one thread each beat one job on two
    threads: lambda w: whole_threads() if source(w) == "images" else 1
    resources:
        # heads on cached features leave a cluster's GPUs to others
        gpu=lambda w: gpu_resources(source(w) != "features")["gpu"],
        gres=lambda w: gpu_resources(source(w) != "features")["gres"],
        runtime=lambda w, attempt: minutes(planned_job(w), attempt),
        mem_mb=lambda w, attempt: mebibytes(planned_job(w), attempt),
        # not under params: the device does not change which results are asked for
        device=lambda w: "auto" if DEVICE == "cuda" and source(w) == "features" else DEVICE,
    params:
        settings=f"{STEPS}/train/{{study}}/{{job}}/{{seeds}}.json",
        inputs=lambda w, input: [f"--{kind}={file}" for kind, file in input.items() if kind != "split"],
        # outside of output, which Snakemake removes before it runs a job again
        checkpoints=f"{DATA}/checkpoints/{{study}}/{{job}}",
    shell:
        "medgrid job train {params.settings:q} {input.split:q} {output:q} {params.checkpoints:q}"
        " {params.inputs:q} --device {resources.device} --slots {PARAMS.gpu_slots} --threads {threads} > {log:q} 2>&1"


@cache
def profile_name(study):
    return f"{study}-{fingerprint(LAYOUT.profiles[study].settings)}"


def profile(study):
    """Costs of a study's jobs on this device."""
    return f"{DATA}/plans/{profile_name(study)}.json"


@cache
def planned(study):
    """Costs of training jobs and of features, by name, where the study has been planned."""
    file = Path(profile(study))
    return json.loads(file.read_text()) if file.exists() else {"jobs": {}, "features": {}}


@cache
def planned_features():
    return {name: cost for study in STUDIES for name, cost in planned(study)["features"].items()}


def study_of(w):
    """The study that a profile's name begins with."""
    return w.name.rsplit("-", 1)[0]


def profile_gpu(w):
    """Whether any job of a study asks for a GPU."""
    settings = LAYOUT.profiles[study_of(w)].settings
    return bool(settings["features"]) or any(job["source"] != "features" for job in settings["jobs"].values())


rule profile:
    output:
        f"{DATA}/plans/{{name}}.json",
    log:
        f"{DATA}/logs/plans/{{name}}.log",
    benchmark:
        f"{DATA}/benchmarks/plans/{{name}}.tsv"
    threads: whole_threads()
    resources:
        gpu=lambda w: gpu_resources(profile_gpu(w))["gpu"],
        gres=lambda w: gpu_resources(profile_gpu(w))["gres"],
        # counted where it exists
        split=lambda w: split(LAYOUT.profiles[study_of(w)].inputs["split"]),
    params:
        settings=f"{STEPS}/profile/{{name}}.json",
    shell:
        "medgrid job profile {params.settings:q} {output:q} --split={resources.split:q}"
        " --device {DEVICE} --slots {PARAMS.gpu_slots} --threads {threads} > {log:q} 2>&1"


PLANS = {"plan": PARAMS.run, **{f"plan_{study}": [study] for study in STUDIES}}


def plan_reports():
    """By name of a plan, what `medgrid job plan_report` prints of each of its studies."""
    return {
        f"plan_report/{name}": [
            {
                "study": study,
                "costs": profile(study),
                "cells": len(LAYOUT.manifests[study].cells),
                "jobs": len(LAYOUT.manifests[study].all_jobs) + len(LAYOUT.profiles[study].settings["features"]),
                "gpu": DEVICE != "cpu",
                "benchmarks": f"{DATA}/benchmarks/train/{study}",
            }
            for study in studies
        ]
        for name, studies in PLANS.items()
    }


for name, studies in PLANS.items():

    rule:
        # no output: it prints the plan each time, and how finished jobs compare with it
        name:
            name
        input:
            [profile(study) for study in studies],
        localrule: True
        params:
            settings=f"{STEPS}/plan_report/{name}.json",
        shell:
            "medgrid job plan_report {params.settings:q}"

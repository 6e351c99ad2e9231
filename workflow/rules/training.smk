"""The grid's trainings: heads on features, dense networks on pixels, whole networks on images."""

JOB_FILES = ["predictions.npz", "curves.csv", "weights.pt", "job.json"]
PLACES = {
    "features": "features/{}.npy",
    "tensors": "tensors/{}.npy",
    "weights": "weights/{}",
    "split": "splits/{}.csv",
}


LONGEST = 100_000  # characters of an argument; Linux takes 131,072


def job_settings(w):
    return as_json(PLAN.jobs[f"{w.study}/{w.job}"].settings)


rule settings:
    # of jobs whose settings are too long for a command line
    output:
        temp(f"{DATA}/settings/{{study}}/{{job}}.json"),
    localrule: True
    run:
        Path(output[0]).write_text(job_settings(wildcards), encoding="utf-8")


def job_inputs(w):
    inputs = PLAN.jobs[f"{w.study}/{w.job}"].inputs
    files = {kind: f"{DATA}/{PLACES[kind].format(name)}" for kind, name in inputs.items()}
    if len(job_settings(w)) > LONGEST:
        files["settings"] = f"{DATA}/settings/{w.study}/{w.job}.json"
    if "features" in files:
        files["stamp"] = files["features"].replace(".npy", ".json")
    folder = f"{RESULTS}/{w.study}/jobs/{w.job}"
    return made_from("train", [f"{folder}/{name}" for name in JOB_FILES], files)


def source(w):
    return PLAN.jobs[f"{w.study}/{w.job}"].settings["source"]


rule train:
    input:
        unpack(job_inputs),
    output:
        predictions=f"{RESULTS}/{{study}}/jobs/{{job}}/predictions.npz",
        curves=f"{RESULTS}/{{study}}/jobs/{{job}}/curves.csv",
        weights=f"{RESULTS}/{{study}}/jobs/{{job}}/weights.pt",
        description=f"{RESULTS}/{{study}}/jobs/{{job}}/job.json",
    log:
        f"{DATA}/logs/train/{{study}}/{{job}}.log",
    benchmark:
        f"{DATA}/benchmarks/train/{{study}}/{{job}}.tsv"
    # heads and stacks are many small products: two jobs side by side on one thread each beat one job on two
    threads: lambda w: whole_threads() if source(w) == "images" else 1
    resources:
        # heads on cached features leave a cluster's GPUs to others
        gpu=lambda w: gpu_resources(source(w) != "features")["gpu"],
        gres=lambda w: gpu_resources(source(w) != "features")["gres"],
        runtime=lambda w, attempt: minutes(planned(w.study)["jobs"].get(w.job), attempt),
        mem_mb=lambda w, attempt: mebibytes(planned(w.study)["jobs"].get(w.job), attempt),
        # not under params: which machine computes must not re-run what another has computed
        device=lambda w: "auto" if DEVICE == "cuda" and source(w) == "features" else DEVICE,
    params:
        settings=lambda w, input: f"@{input.settings}" if "settings" in input.keys() else job_settings(w),
        inputs=lambda w, input: [
            f"--{kind}={file}" for kind, file in input.items() if kind not in ("split", "settings")
        ],
        # outside of output, which Snakemake wipes before it runs a job again
        checkpoints=f"{DATA}/checkpoints/{{study}}/{{job}}",
    shell:
        "medgrid train {params.settings:q} {input.split:q} {output.predictions:q} {params.checkpoints:q}"
        " {params.inputs:q} --device {resources.device} --slots {PARAMS.gpu_slots} --threads {threads} > {log:q} 2>&1"

"""The grid's trainings: heads on features, dense networks on pixels, whole networks on images."""

PACK = ["predictions.npz", "curves.csv", "weights.pt", "pack.json"]
PLACES = {
    "features": "features/{}.npy",
    "tensors": "tensors/{}.npy",
    "weights": "weights/{}",
    "split": "splits/{}.csv",
}


LONGEST = 100_000  # characters of an argument; Linux takes 131,072


def pack_settings(w):
    return as_json(PLAN.packs[f"{w.study}/{w.pack}"].settings)


rule settings:
    # of packs whose settings are too long for a command line
    output:
        temp(f"{DATA}/settings/{{study}}/{{pack}}.json"),
    localrule: True
    run:
        Path(output[0]).write_text(pack_settings(wildcards), encoding="utf-8")


def pack_inputs(w):
    inputs = PLAN.packs[f"{w.study}/{w.pack}"].inputs
    files = {kind: f"{DATA}/{PLACES[kind].format(name)}" for kind, name in inputs.items()}
    if len(pack_settings(w)) > LONGEST:
        files["settings"] = f"{DATA}/settings/{w.study}/{w.pack}.json"
    if "features" in files:
        files["stamp"] = files["features"].replace(".npy", ".json")
    folder = f"{RESULTS}/{w.study}/packs/{w.pack}"
    return made_from("train", [f"{folder}/{name}" for name in PACK], files)


def source(w):
    return PLAN.packs[f"{w.study}/{w.pack}"].settings["source"]


rule train:
    input:
        unpack(pack_inputs),
    output:
        predictions=f"{RESULTS}/{{study}}/packs/{{pack}}/predictions.npz",
        curves=f"{RESULTS}/{{study}}/packs/{{pack}}/curves.csv",
        weights=f"{RESULTS}/{{study}}/packs/{{pack}}/weights.pt",
        description=f"{RESULTS}/{{study}}/packs/{{pack}}/pack.json",
    log:
        f"{DATA}/logs/train/{{study}}/{{pack}}.log",
    benchmark:
        f"{DATA}/benchmarks/train/{{study}}/{{pack}}.tsv"
    # heads and stacks are many small products: two packs side by side on one thread each beat one pack on two
    threads: lambda w: whole_threads() if source(w) == "images" else 1
    resources:
        # heads on cached features leave a cluster's GPUs to others
        gpu=lambda w: gpu_resources(source(w) != "features")["gpu"],
        gres=lambda w: gpu_resources(source(w) != "features")["gres"],
        runtime=lambda w, attempt: minutes(planned(w.study)["packs"].get(w.pack), attempt),
        mem_mb=lambda w, attempt: mebibytes(planned(w.study)["packs"].get(w.pack), attempt),
        # not under params: which machine computes must not re-run what another has computed
        device=lambda w: "auto" if DEVICE == "cuda" and source(w) == "features" else DEVICE,
    params:
        settings=lambda w, input: f"@{input.settings}" if "settings" in input.keys() else pack_settings(w),
        inputs=lambda w, input: [
            f"--{kind}={file}" for kind, file in input.items() if kind not in ("split", "settings")
        ],
        # outside of output, which Snakemake wipes before it runs a job again
        checkpoints=f"{DATA}/checkpoints/{{study}}/{{pack}}",
    shell:
        "medgrid train {params.settings:q} {input.split:q} {output.predictions:q} {params.checkpoints:q}"
        " {params.inputs:q} --device {resources.device} --slots {PARAMS.gpu_slots} --threads {threads} > {log:q} 2>&1"

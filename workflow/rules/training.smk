"""Frozen features, and the heads of the grid on them."""


def weights_of(w):
    name = PLAN.features[w.name].inputs.get("weights")
    return {"weights": f"{DATA}/weights/{name}"} if name else {}


def pack_inputs(w):
    inputs = PLAN.packs[f"{w.study}/{w.pack}"].inputs
    return {
        "features": f"{DATA}/features/{inputs['features']}.npy",
        "stamp": f"{DATA}/features/{inputs['features']}.json",
        "split": f"{DATA}/splits/{inputs['split']}.csv",
    }


rule features:
    input:
        unpack(weights_of),
        tensors=lambda w: f"{DATA}/tensors/{PLAN.features[w.name].inputs['tensors']}.npy",
    output:
        features=f"{DATA}/features/{{name}}.npy",
        stamp=f"{DATA}/features/{{name}}.json",
    log:
        f"{DATA}/logs/features/{{name}}.log",
    benchmark:
        f"{DATA}/benchmarks/features/{{name}}.tsv"
    threads: workflow.cores or 1
    params:
        settings=lambda w: as_json(PLAN.features[w.name].settings),
        weights=lambda w, input: input.get("weights", ""),
    shell:
        "medgrid features {params.settings:q} {input.tensors} {output} --weights={params.weights:q}"
        " --device {DEVICE} --threads {threads} 2>&1 | tee {log}"


rule train:
    input:
        unpack(pack_inputs),
    output:
        predictions=f"{RESULTS}/{{study}}/packs/{{pack}}/predictions.npz",
        curves=f"{RESULTS}/{{study}}/packs/{{pack}}/curves.csv",
        heads=f"{RESULTS}/{{study}}/packs/{{pack}}/heads.pt",
        description=f"{RESULTS}/{{study}}/packs/{{pack}}/pack.json",
    log:
        f"{DATA}/logs/train/{{study}}/{{pack}}.log",
    benchmark:
        f"{DATA}/benchmarks/train/{{study}}/{{pack}}.tsv"
    # heads are small: two packs side by side on one thread each beat one pack on two
    threads: 1
    params:
        settings=lambda w: as_json(PLAN.packs[f"{w.study}/{w.pack}"].settings),
        # outside of output, which Snakemake wipes before it runs a job again
        checkpoints=f"{DATA}/checkpoints/{{study}}/{{pack}}",
    shell:
        "medgrid train {params.settings:q} {input.features} {input.stamp} {input.split} {output.predictions}"
        " {params.checkpoints} --device {DEVICE} --threads {threads} 2>&1 | tee {log}"

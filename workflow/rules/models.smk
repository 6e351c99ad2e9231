"""Networks: weights, the features that frozen backbones give, and how large they are."""


rule weights:
    output:
        f"{DATA}/weights/{{name}}",
    log:
        f"{DATA}/logs/weights/{{name}}.log",
    benchmark:
        f"{DATA}/benchmarks/weights/{{name}}.tsv"
    localrule: True
    params:
        settings=lambda w: as_json(PLAN.weights[w.name].settings),
    shell:
        "medgrid weights {params.settings:q} {output:q} --mirror={MIRROR:q} > {log:q} 2>&1"


def features_inputs(w):
    inputs = PLAN.features[w.name].inputs
    files = {"tensors": tensors(inputs["tensors"])}
    if "weights" in inputs:
        files["weights"] = f"{DATA}/weights/{inputs['weights']}"
    return made_from("features", [f"{DATA}/features/{w.name}.{kind}" for kind in ("npy", "json")], files)


rule features:
    input:
        unpack(features_inputs),
    output:
        features=f"{DATA}/features/{{name}}.npy",
        stamp=f"{DATA}/features/{{name}}.json",
    log:
        f"{DATA}/logs/features/{{name}}.log",
    benchmark:
        f"{DATA}/benchmarks/features/{{name}}.tsv"
    threads: whole_threads()
    resources:
        gpu=gpu_resources(True)["gpu"],
        gres=gpu_resources(True)["gres"],
        runtime=lambda w, attempt: minutes(planned_features().get(w.name), attempt),
        mem_mb=lambda w, attempt: mebibytes(planned_features().get(w.name), attempt),
    params:
        settings=lambda w: as_json(PLAN.features[w.name].settings),
        weights=lambda w, input: input.get("weights", ""),
    shell:
        "medgrid features {params.settings:q} {input.tensors:q} {output:q} --weights={params.weights:q}"
        " --device {DEVICE} --slots {PARAMS.gpu_slots} --threads {threads} > {log:q} 2>&1"


rule summary:
    input:
        manifest=lambda w: manifest(w.study),
    output:
        table=f"{RESULTS}/{{study}}/models.csv",
        diagrams=directory(f"{RESULTS}/{{study}}/models"),
    log:
        f"{DATA}/logs/summary/{{study}}.log",
    benchmark:
        f"{DATA}/benchmarks/summary/{{study}}.tsv"
    shell:
        "medgrid summary @{input.manifest:q} {output.table:q} > {log:q} 2>&1"

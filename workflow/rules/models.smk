"""Networks: weights, the features that frozen backbones compute, and the sizes of networks."""


rule weights:
    output:
        f"{DATA}/weights/{{name}}",
    log:
        f"{DATA}/logs/weights/{{name}}.log",
    benchmark:
        f"{DATA}/benchmarks/weights/{{name}}.tsv"
    localrule: True
    params:
        settings=f"{STEPS}/weights/{{name}}.json",
    shell:
        "medgrid job weights {params.settings:q} {output:q} --mirror={MIRROR:q} > {log:q} 2>&1"


def features_inputs(w):
    names = LAYOUT.features[w.name].inputs
    files = {"tensors": tensors(names["tensors"])}
    if "weights" in names:
        files["weights"] = f"{DATA}/weights/{names['weights']}"
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
        settings=f"{STEPS}/features/{{name}}.json",
        weights=lambda w, input: input.get("weights", ""),
    shell:
        "medgrid job features {params.settings:q} {input.tensors:q} {output:q} --weights={params.weights:q}"
        " --device {DEVICE} --slots {PARAMS.gpu_slots} --threads {threads} > {log:q} 2>&1"


rule networks:
    input:
        manifest=lambda w: manifest(w.study),
    output:
        directory(f"{RESULTS}/{{study}}/networks"),
    log:
        f"{DATA}/logs/networks/{{study}}.log",
    benchmark:
        f"{DATA}/benchmarks/networks/{{study}}.tsv"
    shell:
        "medgrid job networks {input.manifest:q} {output:q} > {log:q} 2>&1"

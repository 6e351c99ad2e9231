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
        "medgrid weights {params.settings:q} {output:q} --mirror={MIRROR:q} 2>&1 | tee {log:q}"


def weights_of(w):
    name = PLAN.features[w.name].inputs.get("weights")
    return {"weights": f"{DATA}/weights/{name}"} if name else {}


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
        "medgrid features {params.settings:q} {input.tensors:q} {output:q} --weights={params.weights:q}"
        " --device {DEVICE} --threads {threads} 2>&1 | tee {log:q}"


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
        "medgrid summary @{input.manifest:q} {output.table:q} 2>&1 | tee {log:q}"

"""Networks: weights."""


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
        "medgrid weights {params.settings:q} {output} --mirror={MIRROR:q} 2>&1 | tee {log}"

"""Images: fetch, inventory, split, tensors."""


rule fetch:
    output:
        f"{DATA}/archives/{{name}}.zip",
    log:
        f"{DATA}/logs/fetch/{{name}}.log",
    benchmark:
        f"{DATA}/benchmarks/fetch/{{name}}.tsv"
    localrule: True
    resources:
        # not under params: a folder may move without changing what was made from it
        folder=lambda w: PARAMS.datasets[PLAN.archives[w.name].settings["dataset"]].folder or "",
    params:
        settings=lambda w: as_json(PLAN.archives[w.name].settings),
    shell:
        "medgrid fetch {params.settings:q} {output:q} --mirror={MIRROR:q} --folder={resources.folder:q} "
        "2>&1 | tee {log:q}"


rule inventory:
    input:
        lambda w: f"{DATA}/archives/{PLAN.inventories[w.name].inputs['archive']}.zip",
    output:
        f"{DATA}/inventories/{{name}}.csv",
    log:
        f"{DATA}/logs/inventory/{{name}}.log",
    benchmark:
        f"{DATA}/benchmarks/inventory/{{name}}.tsv"
    threads: workflow.cores or 1
    params:
        settings=lambda w: as_json(PLAN.inventories[w.name].settings),
    shell:
        "medgrid inventory {params.settings:q} {input:q} {output:q} --threads {threads} 2>&1 | tee {log:q}"


rule split:
    input:
        lambda w: f"{DATA}/inventories/{PLAN.splits[w.name].inputs['inventory']}.csv",
    output:
        f"{DATA}/splits/{{name}}.csv",
    log:
        f"{DATA}/logs/split/{{name}}.log",
    benchmark:
        f"{DATA}/benchmarks/split/{{name}}.tsv"
    params:
        settings=lambda w: as_json(PLAN.splits[w.name].settings),
    shell:
        "medgrid split {params.settings:q} {input:q} {output:q} 2>&1 | tee {log:q}"


rule tensors:
    input:
        archive=lambda w: f"{DATA}/archives/{PLAN.tensors[w.name].inputs['archive']}.zip",
        inventory=lambda w: f"{DATA}/inventories/{PLAN.tensors[w.name].inputs['inventory']}.csv",
    output:
        f"{DATA}/tensors/{{name}}.npy",
    log:
        f"{DATA}/logs/tensors/{{name}}.log",
    benchmark:
        f"{DATA}/benchmarks/tensors/{{name}}.tsv"
    threads: workflow.cores or 1
    params:
        settings=lambda w: as_json(PLAN.tensors[w.name].settings),
    shell:
        "medgrid tensors {params.settings:q} {input.archive:q} {input.inventory:q} {output:q} --threads {threads} 2>&1 | tee {log:q}"

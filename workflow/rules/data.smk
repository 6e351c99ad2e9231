"""Images: fetch, inventory, tensors."""


def archive(name):
    """A data set's archive, in the data set's own folder: DVC keeps these folders apart."""
    return f"{DATA}/archives/{PLAN.archives[name].settings['dataset']}/{name}.zip"


rule fetch:
    output:
        f"{DATA}/archives/{{dataset}}/{{name}}.zip",
    log:
        f"{DATA}/logs/fetch/{{dataset}}/{{name}}.log",
    benchmark:
        f"{DATA}/benchmarks/fetch/{{dataset}}/{{name}}.tsv"
    localrule: True
    resources:
        # not under params: a folder may move without changing what was made from it
        folder=lambda w: PARAMS.datasets[PLAN.archives[w.name].settings["dataset"]].folder or "",
    params:
        settings=lambda w: as_json(PLAN.archives[w.name].settings),
    shell:
        "medgrid fetch {params.settings:q} {output:q} --mirror={MIRROR:q} --folder={resources.folder:q} "
        "> {log:q} 2>&1"


def inventory(name):
    return f"{DATA}/inventories/{name}.csv"


def tensors(name):
    return f"{DATA}/tensors/{name}.npy"


def inventory_inputs(w):
    files = {"archive": archive(PLAN.inventories[w.name].inputs["archive"])}
    return made_from("inventory", [inventory(w.name)], files)


rule inventory:
    input:
        unpack(inventory_inputs),
    output:
        f"{DATA}/inventories/{{name}}.csv",
    log:
        f"{DATA}/logs/inventory/{{name}}.log",
    benchmark:
        f"{DATA}/benchmarks/inventory/{{name}}.tsv"
    threads: CORES
    params:
        settings=lambda w: as_json(PLAN.inventories[w.name].settings),
    shell:
        "medgrid inventory {params.settings:q} {input.archive:q} {output:q} --threads {threads} > {log:q} 2>&1"


def tensors_inputs(w):
    inputs = PLAN.tensors[w.name].inputs
    files = {"archive": archive(inputs["archive"]), "inventory": inventory(inputs["inventory"])}
    return made_from("tensors", [tensors(w.name)], files)


rule tensors:
    input:
        unpack(tensors_inputs),
    output:
        f"{DATA}/tensors/{{name}}.npy",
    log:
        f"{DATA}/logs/tensors/{{name}}.log",
    benchmark:
        f"{DATA}/benchmarks/tensors/{{name}}.tsv"
    threads: CORES
    params:
        settings=lambda w: as_json(PLAN.tensors[w.name].settings),
    shell:
        "medgrid tensors {params.settings:q} {input.archive:q} {input.inventory:q} {output:q} --threads {threads} > {log:q} 2>&1"


for dataset in PARAMS.datasets:

    rule:
        # for DVC, which versions what came in
        name:
            f"data_{dataset}"
        input:
            sorted({archive(name) for name, step in PLAN.archives.items() if step.settings["dataset"] == dataset}),
        localrule: True

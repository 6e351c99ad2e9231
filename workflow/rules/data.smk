"""Images: archive, inventory, near-duplicates, splits, tensors."""


def archive(name):
    """A data set's archive, in the data set's own folder: DVC keeps these folders apart."""
    return f"{DATA}/archives/{LAYOUT.archives[name].settings['dataset']}/{name}.zip"


def inventory(name):
    return f"{DATA}/inventories/{name}.csv"


def near_duplicates(name):
    """Pairs of images that show the same, and the thumbnails in which they were found."""
    return {
        "near_duplicates": f"{DATA}/near_duplicates/{name}.csv",
        "thumbnails": f"{DATA}/near_duplicates/{name}.npz",
    }


def split(name):
    return f"{DATA}/splits/{name}.csv"


def tensors(name):
    return f"{DATA}/tensors/{name}.npy"


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
        folder=lambda w: PARAMS.datasets[w.dataset].folder or "",
    params:
        settings=f"{STEPS}/fetch/{{name}}.json",
    shell:
        "medgrid job fetch {params.settings:q} {output:q} --mirror={MIRROR:q} --folder={resources.folder:q}"
        " > {log:q} 2>&1"


def inventory_inputs(w):
    files = {"archive": archive(LAYOUT.inventories[w.name].inputs["archive"])}
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
        settings=f"{STEPS}/inventory/{{name}}.json",
    shell:
        "medgrid job inventory {params.settings:q} {input.archive:q} {output:q} --threads {threads} > {log:q} 2>&1"


def images_of(step):
    return {"archive": archive(step.inputs["archive"]), "inventory": inventory(step.inputs["inventory"])}


def near_duplicates_inputs(w):
    outputs = list(near_duplicates(w.name).values())
    return made_from("near_duplicates", outputs, images_of(LAYOUT.near_duplicates[w.name]))


rule near_duplicates:
    input:
        unpack(near_duplicates_inputs),
    output:
        **near_duplicates("{name}"),
    log:
        f"{DATA}/logs/near_duplicates/{{name}}.log",
    benchmark:
        f"{DATA}/benchmarks/near_duplicates/{{name}}.tsv"
    threads: CORES
    params:
        settings=f"{STEPS}/near_duplicates/{{name}}.json",
    shell:
        "medgrid job near_duplicates {params.settings:q} {input.archive:q} {input.inventory:q}"
        " {output.near_duplicates:q} {output.thumbnails:q} --threads {threads} > {log:q} 2>&1"


def split_inputs(w):
    names = LAYOUT.splits[w.name].inputs
    files = {"inventory": inventory(names["inventory"])} | near_duplicates(names["near_duplicates"])
    return made_from("split", [split(w.name)], files)


rule split:
    input:
        unpack(split_inputs),
    output:
        f"{DATA}/splits/{{name}}.csv",
    log:
        f"{DATA}/logs/split/{{name}}.log",
    benchmark:
        f"{DATA}/benchmarks/split/{{name}}.tsv"
    params:
        settings=f"{STEPS}/split/{{name}}.json",
    shell:
        "medgrid job split {params.settings:q} {input.inventory:q} {input.near_duplicates:q} {input.thumbnails:q}"
        " {output:q} > {log:q} 2>&1"


def tensors_inputs(w):
    return made_from("tensors", [tensors(w.name)], images_of(LAYOUT.tensors[w.name]))


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
        settings=f"{STEPS}/tensors/{{name}}.json",
    shell:
        "medgrid job tensors {params.settings:q} {input.archive:q} {input.inventory:q} {output:q} --threads {threads}"
        " > {log:q} 2>&1"


for dataset in PARAMS.datasets:

    rule:
        # for DVC, which versions archives
        name:
            f"data_{dataset}"
        input:
            sorted(archive(name) for name, step in LAYOUT.archives.items() if step.settings["dataset"] == dataset),
        localrule: True

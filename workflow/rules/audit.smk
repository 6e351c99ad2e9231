"""Copies and near-duplicates, audits, and splits that keep both on one side."""


def near_duplicates(name):
    """Pairs of images that show the same, and the thumbnails in which they were found."""
    return {
        "near_duplicates": f"{DATA}/near_duplicates/{name}.csv",
        "thumbnails": f"{DATA}/near_duplicates/{name}.npz",
    }


def split(name):
    return f"{DATA}/splits/{name}.csv"


def audit_files(dataset):
    found = [f"{RESULTS}/audits/{dataset}/{name}" for name in ("audit.json", "pairs.csv")]
    return [*found, f"{SITE}/audits/{dataset}/index.html"]


def near_duplicates_inputs(w):
    inputs = PLAN.near_duplicates[w.name].inputs
    files = {"archive": archive(inputs["archive"]), "inventory": inventory(inputs["inventory"])}
    return made_from("near_duplicates", list(near_duplicates(w.name).values()), files)


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
        settings=lambda w: as_json(PLAN.near_duplicates[w.name].settings),
    shell:
        "medgrid near_duplicates {params.settings:q} {input.archive:q} {input.inventory:q} {output.near_duplicates:q} {output.thumbnails:q}"
        " --threads {threads} > {log:q} 2>&1"


def split_inputs(w):
    inputs = PLAN.splits[w.name].inputs
    files = {
        "inventory": inventory(inputs["inventory"]),
        "near_duplicates": near_duplicates(inputs["near_duplicates"])["near_duplicates"],
    }
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
        settings=lambda w: as_json(PLAN.splits[w.name].settings),
    shell:
        "medgrid split {params.settings:q} {input.inventory:q} {input.near_duplicates:q} {output:q} > {log:q} 2>&1"


def reaudit(dataset):
    """A file to be made, if the audit that is there is not the one asked for: its own name is fixed."""
    there = Path(RESULTS, "audits", dataset, "audit.json")
    if not (workflow.is_main_process and there.exists()):
        return []
    found = json.loads(there.read_text(encoding="utf-8"))["settings"]["name"]
    return [] if found == audit_name(PLAN.audits[dataset]) else [f"{DATA}/settings/audit_{dataset}/redraw"]


def whole_audit(dataset):
    """What a run promises; Snakemake does not miss an input of what is there already."""
    return [*reaudit(dataset), *audit_files(dataset)]


def audit_inputs(w):
    step = PLAN.audits[w.dataset]
    files = {"inventory": inventory(step.inputs["inventory"])} | near_duplicates(step.inputs["near_duplicates"])
    if again := reaudit(w.dataset):
        return files | {"again": again}
    return made_from("audit", audit_files(w.dataset), files)


rule reaudit:
    output:
        touch(f"{DATA}/settings/audit_{{dataset}}/redraw"),
    localrule: True


rule audit:
    input:
        unpack(audit_inputs),
    output:
        audit=f"{RESULTS}/audits/{{dataset}}/audit.json",
        pairs=f"{RESULTS}/audits/{{dataset}}/pairs.csv",
        page=report(
            f"{SITE}/audits/{{dataset}}/index.html",
            caption="../report/audit.rst",
            category="Audits",
            subcategory="{dataset}",
        ),
    log:
        f"{DATA}/logs/audit/{{dataset}}.log",
    benchmark:
        f"{DATA}/benchmarks/audit/{{dataset}}.tsv"
    params:
        settings=lambda w: as_json(PLAN.audits[w.dataset].settings | {"name": audit_name(PLAN.audits[w.dataset])}),
    shell:
        "medgrid findings {params.settings:q} {input.inventory:q} {input.near_duplicates:q} {input.thumbnails:q} {output.audit:q}"
        " {output.pairs:q} {output.page:q} > {log:q} 2>&1"


for dataset in PARAMS.datasets:

    rule:
        # for DVC, as what came in
        name:
            f"audit_{dataset}"
        input:
            whole_audit(dataset) if dataset in PLAN.audits else [],
        localrule: True

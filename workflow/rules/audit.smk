"""Audits of data sets, and the leakage of a study's split. Nothing trains from these."""


def audit_files(dataset):
    files = [f"{RESULTS}/audits/{dataset}/{name}" for name in ("audit.json", "pairs.csv")]
    return [*files, f"{SITE}/audits/{dataset}/index.html"]


def stale_audit(dataset):
    """See `stale`: where an audit was made from other settings."""
    audit = f"{RESULTS}/audits/{dataset}/audit.json"
    return stale(f"audit_{dataset}", audit, LAYOUT.audits[dataset].settings["name"], "settings", "name")


def audit_target(dataset):
    """An audit that is up to date; Snakemake does not notice a missing input of an existing output."""
    return [*stale_audit(dataset), *audit_files(dataset)]


def audit_inputs(w):
    names = LAYOUT.audits[w.dataset].inputs
    files = {"inventory": inventory(names["inventory"])} | near_duplicates(names["near_duplicates"])
    if again := stale_audit(w.dataset):
        return files | {"again": again}
    return made_from("audit", audit_files(w.dataset), files)


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
        settings=lambda w: f"{STEPS}/audit/{w.dataset}-{LAYOUT.audits[w.dataset].settings['name']}.json",
    shell:
        "medgrid job audit {params.settings:q} {input.inventory:q} {input.near_duplicates:q} {input.thumbnails:q}"
        " {output.audit:q} {output.pairs:q} {output.page:q} > {log:q} 2>&1"


for dataset in PARAMS.datasets:

    rule:
        # for DVC, as data_DATASET
        name:
            f"audit_{dataset}"
        input:
            audit_target(dataset) if dataset in LAYOUT.audits else [],
        localrule: True


rule leakage:
    input:
        unpack(content_addressed(["inventory", "near_duplicates", "split"], [f"{RESULTS}/{{study}}/leakage.json"])),
        manifest=lambda w: manifest(w.study),
    output:
        f"{RESULTS}/{{study}}/leakage.json",
    log:
        f"{DATA}/logs/leakage/{{study}}.log",
    benchmark:
        f"{DATA}/benchmarks/leakage/{{study}}.tsv"
    shell:
        "medgrid job leakage {input.manifest:q} {input.inventory:q} {input.near_duplicates:q}"
        " {input.split:q} {output:q} > {log:q} 2>&1"

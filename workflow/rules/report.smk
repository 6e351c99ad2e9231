"""Figures, explanations, and a page for each study; the pages are one site, which can be sent as a folder."""


def linked_folders(study):
    """What a page shows, or links, besides tables and figures."""
    folders = [f"{RESULTS}/{study}/{folder}" for folder in ("networks", "explanations")]
    return folders + [f"{RESULTS}/{study}/submissions"] * bool(LAYOUT.manifests[study].submission)


def study_files(study):
    """Everything that a study's run makes: pages, what they show, and primary results.

    All of them, since Snakemake does not notice a missing input of an existing output.
    """
    names = ["summary.json", "metrics.json", "figures", "cards", "tables", "predictions.npz", "leakage.json"]
    return [
        *stale_study(study),
        manifest(study),
        page_manifest(study),
        f"{SITE}/{study}",
        *(f"{RESULTS}/{study}/{name}" for name in names),
        *linked_folders(study),
        *missing_folders(study),
    ]


rule figures:
    input:
        unpack(content_addressed(["split", "tensors"], [f"{RESULTS}/{{study}}/figures"])),
        manifest=lambda w: page_manifest(w.study),
        tables=f"{RESULTS}/{{study}}/tables",
        networks=f"{RESULTS}/{{study}}/networks",
    output:
        report(
            directory(f"{RESULTS}/{{study}}/figures"),
            patterns=["{name}.png"],
            caption="../report/figures.rst",
            category="{study}",
            subcategory="Figures",
        ),
    log:
        f"{DATA}/logs/figures/{{study}}.log",
    benchmark:
        f"{DATA}/benchmarks/figures/{{study}}.tsv"
    params:
        folder=f"{RESULTS}/{{study}}",
    shell:
        "medgrid job figures {input.manifest:q} {params.folder:q} {input.split:q} {input.tensors:q} > {log:q} 2>&1"


rule explain:
    input:
        unpack(content_addressed(["split", "tensors"], [f"{RESULTS}/{{study}}/explanations"], weights=True)),
        manifest=lambda w: manifest(w.study),
        tables=f"{RESULTS}/{{study}}/tables",  # and through them the training jobs
    output:
        report(
            directory(f"{RESULTS}/{{study}}/explanations"),
            patterns=["{name}.png"],
            caption="../report/explanations.rst",
            category="{study}",
            subcategory="Explanations",
        ),
    log:
        f"{DATA}/logs/explain/{{study}}.log",
    benchmark:
        f"{DATA}/benchmarks/explain/{{study}}.tsv"
    threads: CORES
    params:
        folder=f"{RESULTS}/{{study}}",
        weights=f"{DATA}/weights",
    shell:
        "medgrid job explain {input.manifest:q} {params.folder:q} {input.split:q} {input.tensors:q} {params.weights:q}"
        " --threads {threads} > {log:q} 2>&1"


PAGE = [f"{SITE}/{{study}}", *(f"{RESULTS}/{{study}}/{name}" for name in ("cards", "summary.json", "metrics.json"))]


def audit_of(w):
    """A model card quotes the audit as it is when the card is written."""
    return audit_files(LAYOUT.manifests[w.study].dataset)[0]


rule page:
    input:
        unpack(content_addressed(["inventory", "split", "tensors"], PAGE)),
        manifest=lambda w: page_manifest(w.study),
        tables=f"{RESULTS}/{{study}}/tables",
        leakage=f"{RESULTS}/{{study}}/leakage.json",
        folders=lambda w: linked_folders(w.study),
        figures=f"{RESULTS}/{{study}}/figures",
        audit=lambda w: [] if os.path.exists(audit_of(w)) else audit_of(w),
    output:
        directory(PAGE[0]),
        directory(PAGE[1]),
        *PAGE[2:],
    log:
        f"{DATA}/logs/page/{{study}}.log",
    benchmark:
        f"{DATA}/benchmarks/page/{{study}}.tsv"
    params:
        folder=f"{RESULTS}/{{study}}",
        site=SITE,
        audit=audit_of,
    shell:
        "medgrid job page {input.manifest:q} {params.folder:q} {input.inventory:q} {input.split:q} {input.tensors:q}"
        " {params.site:q} --audit={params.audit:q} > {log:q} 2>&1"

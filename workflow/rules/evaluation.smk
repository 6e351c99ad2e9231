"""From predictions to tables and verdicts."""


def manifest(study):
    """Everything that tables are made from."""
    return f"{RESULTS}/{study}/manifest/{LAYOUT.manifests[study].tables_name}.json"


def page_manifest(study):
    """Everything that figures and the page show."""
    return f"{RESULTS}/{study}/manifest/page-{LAYOUT.manifests[study].page_name}.json"


def stale_study(study):
    """See `stale`: where a study's page shows other settings than its manifest."""
    if not os.path.exists(page_manifest(study)):
        return []
    return stale(study, f"{RESULTS}/{study}/summary.json", LAYOUT.manifests[study].page_name, "manifest")


rule manifest:
    input:
        lambda w: stale_study(w.study),
    output:
        f"{RESULTS}/{{study}}/manifest/{{name}}.json",
    localrule: True
    params:
        settings=lambda w: f"{STEPS}/manifest/{w.study}-{LAYOUT.manifests[w.study].page_name}.json",
    shell:
        "medgrid job manifest {params.settings:q} {output:q}"


rule evaluate:
    input:
        unpack(
            content_addressed(
                ["split", "other_splits"],
                [f"{RESULTS}/{{study}}/{name}" for name in ("tables", "predictions.npz")],
            )
        ),
        jobs=lambda w: training_folders(w.study),
        manifest=lambda w: manifest(w.study),
        networks=f"{RESULTS}/{{study}}/networks",
    output:
        report(
            directory(f"{RESULTS}/{{study}}/tables"),
            patterns=["{name}.csv"],
            caption="../report/tables.rst",
            category="{study}",
            subcategory="Tables",
        ),
        f"{RESULTS}/{{study}}/predictions.npz",
    log:
        f"{DATA}/logs/evaluate/{{study}}.log",
    benchmark:
        f"{DATA}/benchmarks/evaluate/{{study}}.tsv"
    params:
        folder=f"{RESULTS}/{{study}}",
    shell:
        "medgrid job evaluate {input.manifest:q} {params.folder:q} {input.split:q} > {log:q} 2>&1"


rule submissions:
    input:
        manifest=lambda w: manifest(w.study),
        tables=f"{RESULTS}/{{study}}/tables",  # and through them the training jobs
    output:
        directory(f"{RESULTS}/{{study}}/submissions"),
    log:
        f"{DATA}/logs/submissions/{{study}}.log",
    benchmark:
        f"{DATA}/benchmarks/submissions/{{study}}.tsv"
    params:
        folder=f"{RESULTS}/{{study}}",
    shell:
        "medgrid job submissions {input.manifest:q} {params.folder:q} > {log:q} 2>&1"


for study in STUDIES:

    rule:
        # training jobs that params.yaml no longer asks for: no run needs it, but DVC should record what was asked for
        name:
            f"prune_{study}"
        input:
            manifest(study),
        log:
            f"{DATA}/logs/prune/{study}.log",
        localrule: True
        params:
            folder=f"{RESULTS}/{study}/jobs",
        shell:
            "medgrid job prune {input:q} {params.folder:q} > {log:q} 2>&1"

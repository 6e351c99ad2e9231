"""From predictions to tables and verdicts."""

TABLES = ["cells.csv", "replicates.csv", "per_class.csv", "confusion.csv", "curves.csv", "published.csv"]
VERDICTS = [
    "claims.json",
    "intervals.csv",
    "comparisons.csv",
    "interactions.csv",
    "simple_effects.csv",
    "batch_sizes.csv",
]


def job_files(study):
    return [f"{RESULTS}/{study}/jobs/{job}/{name}" for job in PLAN.jobs_of[study] for name in JOB_FILES]


def manifest(study):
    return f"{RESULTS}/{study}/manifest/{PLAN.manifest_of[study]}.json"


def redraw(study):
    """A file to be made, if a page shows other settings than the manifest: Git may bring back newer tables of others."""
    summary = Path(RESULTS, study, "summary.json")
    if not (workflow.is_main_process and summary.exists() and os.path.exists(manifest(study))):
        return []
    shown = json.loads(summary.read_text(encoding="utf-8")).get("manifest")
    return [] if shown == PLAN.manifest_of[study] else [f"{DATA}/settings/{study}/redraw"]


rule redraw:
    # removed when the run has succeeded: Snakemake keeps temporary files that a target asks for
    output:
        touch(f"{DATA}/settings/{{study}}/redraw"),
    localrule: True


rule manifest:
    # what it holds is longer than a command line may be; the jobs below read it from the file
    input:
        lambda w: redraw(w.study),
    output:
        f"{RESULTS}/{{study}}/manifest/{{name}}.json",
    benchmark:
        f"{DATA}/benchmarks/manifest/{{study}}-{{name}}.tsv"
    localrule: True
    run:
        from medgrid.grid.manifest import write_manifest

        write_manifest(PLAN.studies[wildcards.study].settings, output[0])


def prepared(outputs, *kinds, weights=False):
    """Images, or what is known of them, and weights, that a result is made from beside jobs.

    Their names are right: once the result is there, their age does not matter.
    """
    name_of = {"inventory": inventory, "split": split, "tensors": tensors}

    def inputs(w):
        made = PLAN.studies[w.study].inputs
        files = {kind: name_of[kind](made[kind]) for kind in kinds}
        if weights:
            files |= {kind: f"{DATA}/weights/{name}" for kind, name in made.items() if kind.startswith("weights_")}
        there = complete([output.format(study=w.study) for output in outputs])
        return {kind: ancient(file) for kind, file in files.items()} if there else files

    return inputs


rule evaluate:
    input:
        unpack(prepared([f"{RESULTS}/{{study}}/{name}" for name in [*TABLES, *VERDICTS]], "split")),
        jobs=lambda w: job_files(w.study),
        manifest=lambda w: manifest(w.study),
        models=f"{RESULTS}/{{study}}/models.csv",
    output:
        report(
            f"{RESULTS}/{{study}}/cells.csv",
            caption="../report/cells.rst",
            category="{study}",
            subcategory="Tables",
        ),
        report(
            f"{RESULTS}/{{study}}/replicates.csv",
            caption="../report/replicates.rst",
            category="{study}",
            subcategory="Tables",
        ),
        f"{RESULTS}/{{study}}/per_class.csv",
        f"{RESULTS}/{{study}}/confusion.csv",
        f"{RESULTS}/{{study}}/curves.csv",
        report(
            f"{RESULTS}/{{study}}/published.csv",
            caption="../report/published.rst",
            category="{study}",
            subcategory="Tables",
        ),
        [f"{RESULTS}/{{study}}/{name}" for name in VERDICTS],
    log:
        f"{DATA}/logs/evaluate/{{study}}.log",
    benchmark:
        f"{DATA}/benchmarks/evaluate/{{study}}.tsv"
    params:
        folder=f"{RESULTS}/{{study}}",
    shell:
        "medgrid evaluate @{input.manifest:q} {params.folder:q} {input.split:q} > {log:q} 2>&1"


rule submissions:
    input:
        manifest=lambda w: manifest(w.study),
        cells=f"{RESULTS}/{{study}}/cells.csv",  # and with it the jobs
    output:
        directory(f"{RESULTS}/{{study}}/submissions"),
    log:
        f"{DATA}/logs/submissions/{{study}}.log",
    benchmark:
        f"{DATA}/benchmarks/submissions/{{study}}.tsv"
    params:
        folder=f"{RESULTS}/{{study}}",
    shell:
        "medgrid submissions @{input.manifest:q} {params.folder:q} > {log:q} 2>&1"


for study in PLAN.studies:

    rule:
        # jobs that params.yaml no longer asks for: no run needs it, but what DVC records should be what was asked for
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
            "medgrid prune @{input:q} {params.folder:q} > {log:q} 2>&1"

"""Figures, and a page for each study; pages make one site, which can be sent as a folder."""


def beside(study):
    """What the page shows, or leads to, beside tables and figures."""
    folders = [f"{RESULTS}/{study}/{folder}" for folder in ("models", "explanations")]
    return folders + [f"{RESULTS}/{study}/submissions"] * bool(PLAN.studies[study].settings["submission"])


def study_files(study):
    """Everything that a study's run promises: reports, what they show, and primary results.

    All of them, since Snakemake does not miss an input of what is there already.
    """
    return [
        *redraw(study),
        manifest(study),
        f"{SITE}/{study}",
        f"{RESULTS}/{study}/summary.json",
        f"{RESULTS}/{study}/metrics.json",
        f"{RESULTS}/{study}/figures",
        f"{RESULTS}/{study}/cards",
        *(f"{RESULTS}/{study}/{table}" for table in [*TABLES, *VERDICTS, "models.csv"]),
        *beside(study),
        *job_files(study),
    ]


rule figures:
    input:
        unpack(prepared([f"{RESULTS}/{{study}}/figures"], "split", "tensors")),
        manifest=lambda w: manifest(w.study),
        tables=expand(f"{RESULTS}/{{{{study}}}}/{{table}}", table=[*TABLES, *VERDICTS, "models.csv"]),
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
        "medgrid figures @{input.manifest:q} {params.folder:q} {input.split:q} {input.tensors:q} > {log:q} 2>&1"


rule explain:
    input:
        unpack(prepared([f"{RESULTS}/{{study}}/explanations"], "split", "tensors", weights=True)),
        manifest=lambda w: manifest(w.study),
        cells=f"{RESULTS}/{{study}}/cells.csv",  # and with it the jobs
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
        "medgrid explain @{input.manifest:q} {params.folder:q} {input.split:q} {input.tensors:q} {params.weights:q}"
        " --threads {threads} > {log:q} 2>&1"


def audit_of(w):
    """A card says what was found when it was written: made where there is none, but not anew for another's splits."""
    return audit_files(PARAMS.studies[w.study].dataset)[0]


rule page:
    input:
        unpack(
            prepared(
                [
                    f"{SITE}/{{study}}",
                    *(f"{RESULTS}/{{study}}/{name}" for name in ("summary.json", "metrics.json", "cards")),
                ],
                "inventory",
                "split",
                "tensors",
            )
        ),
        manifest=lambda w: manifest(w.study),
        tables=expand(f"{RESULTS}/{{{{study}}}}/{{table}}", table=[*TABLES, *VERDICTS, "models.csv"]),
        beside=lambda w: beside(w.study),
        figures=f"{RESULTS}/{{study}}/figures",
        audit=lambda w: [] if os.path.exists(audit_of(w)) else audit_of(w),
    output:
        directory(f"{SITE}/{{study}}"),
        directory(f"{RESULTS}/{{study}}/cards"),
        f"{RESULTS}/{{study}}/summary.json",
        f"{RESULTS}/{{study}}/metrics.json",
    log:
        f"{DATA}/logs/page/{{study}}.log",
    benchmark:
        f"{DATA}/benchmarks/page/{{study}}.tsv"
    params:
        folder=f"{RESULTS}/{{study}}",
        site=SITE,
        audit=audit_of,
    shell:
        "medgrid page @{input.manifest:q} {params.folder:q} {input.inventory:q} {input.split:q} {input.tensors:q}"
        " {params.site:q} --audit={params.audit:q} > {log:q} 2>&1"

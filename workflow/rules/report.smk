"""Figures and the page."""


def study_files(study):
    """Everything that a study's run promises: reports and, since a path there is right, primary results."""
    return [
        f"{RESULTS}/{study}/index.html",
        f"{RESULTS}/{study}/figures",
        *(f"{RESULTS}/{study}/{table}" for table in TABLES),
        *pack_files(study),
    ]


def study_inputs(w):
    inputs = PLAN.studies[w.study].inputs
    return {
        "inventory": f"{DATA}/inventories/{inputs['inventory']}.csv",
        "split": f"{DATA}/splits/{inputs['split']}.csv",
        "tensors": f"{DATA}/tensors/{inputs['tensors']}.npy",
    }


rule figures:
    input:
        unpack(study_inputs),
        manifest=lambda w: manifest(w.study),
        tables=expand(f"{RESULTS}/{{{{study}}}}/{{table}}", table=TABLES),
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
        settings=lambda w: as_json(PLAN.studies[w.study].settings),
        folder=f"{RESULTS}/{{study}}",
    shell:
        "medgrid figures {params.settings:q} {params.folder:q} {input.split:q} {input.tensors:q} 2>&1 | tee {log:q}"


rule page:
    input:
        unpack(study_inputs),
        manifest=lambda w: manifest(w.study),
        tables=expand(f"{RESULTS}/{{{{study}}}}/{{table}}", table=TABLES),
        figures=f"{RESULTS}/{{study}}/figures",
    output:
        report(
            f"{RESULTS}/{{study}}/index.html",
            caption="../report/page.rst",
            category="{study}",
            subcategory="Page",
        ),
    log:
        f"{DATA}/logs/page/{{study}}.log",
    benchmark:
        f"{DATA}/benchmarks/page/{{study}}.tsv"
    params:
        settings=lambda w: as_json(PLAN.studies[w.study].settings),
        folder=f"{RESULTS}/{{study}}",
    shell:
        "medgrid page {params.settings:q} {params.folder:q} {input.inventory:q} {input.split:q} 2>&1 | tee {log:q}"

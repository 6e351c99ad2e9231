"""Figures, and a page for each study."""


def beside(study):
    """What the page shows beside tables and figures."""
    folders = [f"{RESULTS}/{study}/models", f"{RESULTS}/{study}/explanations"]
    return folders + [f"{RESULTS}/{study}/submissions"] * bool(PLAN.studies[study].settings["submission"])


def study_files(study):
    """Everything that a study's run promises: reports and, since a path there is right, primary results."""
    return [
        f"{RESULTS}/{study}/index.html",
        f"{RESULTS}/{study}/summary.json",
        f"{RESULTS}/{study}/figures",
        *(f"{RESULTS}/{study}/{table}" for table in [*TABLES, "models.csv"]),
        *beside(study),
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
        tables=expand(f"{RESULTS}/{{{{study}}}}/{{table}}", table=[*TABLES, "models.csv"]),
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
        "medgrid figures @{input.manifest:q} {params.folder:q} {input.split:q} {input.tensors:q} 2>&1 | tee {log:q}"


def base_weights(w):
    inputs = PLAN.studies[w.study].inputs
    return [f"{DATA}/weights/{name}" for kind, name in inputs.items() if kind.startswith("weights_")]


rule explain:
    input:
        packs=lambda w: pack_files(w.study),
        weights=base_weights,
        split=lambda w: study_inputs(w)["split"],
        tensors=lambda w: study_inputs(w)["tensors"],
        manifest=lambda w: manifest(w.study),
        cells=f"{RESULTS}/{{study}}/cells.csv",
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
    threads: workflow.cores or 1
    params:
        folder=f"{RESULTS}/{{study}}",
        weights=f"{DATA}/weights",
    shell:
        "medgrid explain @{input.manifest:q} {params.folder:q} {input.split:q} {input.tensors:q} {params.weights:q}"
        " --threads {threads} 2>&1 | tee {log:q}"


rule page:
    input:
        unpack(study_inputs),
        manifest=lambda w: manifest(w.study),
        tables=expand(f"{RESULTS}/{{{{study}}}}/{{table}}", table=[*TABLES, "models.csv"]),
        beside=lambda w: beside(w.study),
        figures=f"{RESULTS}/{{study}}/figures",
    output:
        report(
            f"{RESULTS}/{{study}}/index.html",
            caption="../report/page.rst",
            category="{study}",
            subcategory="Page",
        ),
        f"{RESULTS}/{{study}}/summary.json",
    log:
        f"{DATA}/logs/page/{{study}}.log",
    benchmark:
        f"{DATA}/benchmarks/page/{{study}}.tsv"
    params:
        folder=f"{RESULTS}/{{study}}",
    shell:
        "medgrid page @{input.manifest:q} {params.folder:q} {input.inventory:q} {input.split:q} 2>&1 | tee {log:q}"

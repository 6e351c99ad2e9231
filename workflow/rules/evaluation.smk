"""From predictions to tables."""

TABLES = ["cells.csv", "replicates.csv", "per_class.csv", "confusion.csv", "curves.csv"]


def pack_files(study):
    names = ["predictions.npz", "curves.csv", "weights.pt", "pack.json"]
    return [f"{RESULTS}/{study}/packs/{pack}/{name}" for pack in PLAN.packs_of[study] for name in names]


def manifest(study):
    return f"{RESULTS}/{study}/manifest-{PLAN.manifest_of[study]}.json"


rule manifest:
    output:
        f"{RESULTS}/{{study}}/manifest-{{name}}.json",
    log:
        f"{DATA}/logs/manifest/{{study}}-{{name}}.log",
    benchmark:
        f"{DATA}/benchmarks/manifest/{{study}}-{{name}}.tsv"
    localrule: True
    params:
        settings=lambda w: as_json(PLAN.studies[w.study].settings),
    shell:
        "medgrid manifest {params.settings:q} {output:q} 2>&1 | tee {log:q}"


rule evaluate:
    input:
        packs=lambda w: pack_files(w.study),
        manifest=lambda w: manifest(w.study),
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
    log:
        f"{DATA}/logs/evaluate/{{study}}.log",
    benchmark:
        f"{DATA}/benchmarks/evaluate/{{study}}.tsv"
    params:
        settings=lambda w: as_json(
            {name: PLAN.studies[w.study].settings[name] for name in ("cells", "axes", "data", "packs", "notes")}
        ),
        folder=f"{RESULTS}/{{study}}",
    shell:
        "medgrid evaluate {params.settings:q} {params.folder:q} 2>&1 | tee {log:q}"

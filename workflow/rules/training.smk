"""The heads of the grid, trained on features."""


def pack_inputs(w):
    inputs = PLAN.packs[f"{w.study}/{w.pack}"].inputs
    return {
        "features": f"{DATA}/features/{inputs['features']}.npy",
        "stamp": f"{DATA}/features/{inputs['features']}.json",
        "split": f"{DATA}/splits/{inputs['split']}.csv",
    }


rule train:
    input:
        unpack(pack_inputs),
    output:
        predictions=f"{RESULTS}/{{study}}/packs/{{pack}}/predictions.npz",
        curves=f"{RESULTS}/{{study}}/packs/{{pack}}/curves.csv",
        heads=f"{RESULTS}/{{study}}/packs/{{pack}}/heads.pt",
        description=f"{RESULTS}/{{study}}/packs/{{pack}}/pack.json",
    log:
        f"{DATA}/logs/train/{{study}}/{{pack}}.log",
    benchmark:
        f"{DATA}/benchmarks/train/{{study}}/{{pack}}.tsv"
    # heads are small: two packs side by side on one thread each beat one pack on two
    threads: 1
    params:
        settings=lambda w: as_json(PLAN.packs[f"{w.study}/{w.pack}"].settings),
        # outside of output, which Snakemake wipes before it runs a job again
        checkpoints=f"{DATA}/checkpoints/{{study}}/{{pack}}",
    shell:
        "medgrid train {params.settings:q} {input.features:q} {input.stamp:q} {input.split:q} {output.predictions:q}"
        " {params.checkpoints:q} --device {DEVICE} --threads {threads} 2>&1 | tee {log:q}"

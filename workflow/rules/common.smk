"""What several rules need: settings of jobs as files, inputs of finished outputs, devices, resources."""

from functools import cache

MIRROR = str(Path(PARAMS.mirror).expanduser()) if PARAMS.mirror else ""
if MIRROR and not Path(MIRROR).is_dir():
    raise WorkflowError(f"mirror: {MIRROR} is not a folder")
# of this machine, without asking torch; a cluster's nodes may have others
GPUS = len(list(Path("/proc/driver/nvidia/gpus").glob("*"))) if DEVICE != "cpu" else 0
# a cluster's jobs have as many as its profile says, with set-threads
CORES = workflow.resource_settings.cores or 1


def write_step(kind, name, content):
    """Write the settings of a job; names contain their hash, so an existing file is valid."""
    file = Path(STEPS, kind, f"{name}.json")
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_suffix(f".{os.getpid()}")
        temporary.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        temporary.replace(file)


def write_steps():
    """Write the settings of every job that is not finished; jobs read them from there."""
    kinds = {
        "fetch": LAYOUT.archives,
        "inventory": LAYOUT.inventories,
        "near_duplicates": LAYOUT.near_duplicates,
        "split": LAYOUT.splits,
        "tensors": LAYOUT.tensors,
        "weights": LAYOUT.weights,
        "features": LAYOUT.features,
    }
    for kind, steps in kinds.items():
        for name, step in steps.items():
            write_step(kind, name, step.settings)
    for key, step in LAYOUT.jobs.items():
        for folder in job_folders(*key.split("/")):
            if not os.path.exists(folder):
                block = os.path.basename(folder)
                write_step("train", f"{key}/{block}", step.settings | {"seeds": seeds_of(block)})
    for study, manifest in LAYOUT.manifests.items():
        write_step("manifest", f"{study}-{manifest.page_name}", manifest.model_dump_json())
        write_step("profile", profile_name(study), LAYOUT.profiles[study].settings)
    for dataset, step in LAYOUT.audits.items():
        write_step("audit", f"{dataset}-{step.settings['name']}", step.settings)
    # of this run
    for name, content in {"index/index": {"studies": STUDIES}, **plan_reports()}.items():
        Path(STEPS, f"{name}.json").unlink(missing_ok=True)
        write_step(*name.split("/"), content)


def made_from(rule, outputs, files):
    """Inputs of a job whose outputs are named after everything they were made from: none once the outputs exist.

    They are valid then, however new the inputs are and whether or not these still exist. As inputs, an archive that
    was fetched once more would make every network train again. (Snakemake's `ancient` does not cover inputs that are
    missing, and drops jobs behind it whose own outputs are missing: 9.27.)
    """
    forced = workflow.dag_settings.forcerun | ({rule} if workflow.dag_settings.forceall else set())
    return {} if forced.isdisjoint([rule, *outputs]) and all(map(os.path.exists, outputs)) else files


def content_addressed(kinds, outputs=(), weights=False):
    """Input function of a result with a fixed name: files of a study whose age does not matter once it exists.

    `kinds`: inventory, near_duplicates, split, other_splits, tensors; `weights`: also the weight files of the study's
    backbones.
    """
    file_of = {"inventory": inventory, "split": split, "tensors": tensors}

    def inputs(w):
        names = LAYOUT.inputs_of[w.study]
        files = {kind: file_of[kind](names[kind]) for kind in kinds if kind in file_of}
        if "near_duplicates" in kinds:
            files |= near_duplicates(names["near_duplicates"])
        if "other_splits" in kinds:
            files |= {f"split_{other.split}": split(other.split) for other in LAYOUT.manifests[w.study].other_splits}
        if weights:
            files |= {kind: f"{DATA}/weights/{name}" for kind, name in names.items() if kind.startswith("weights_")}
        finished = all(os.path.exists(output.format(study=w.study)) for output in outputs)
        return {kind: ancient(file) for kind, file in files.items()} if finished else files

    return inputs


def stale(name, record, wanted, *keys):
    """A file to be made if `record` (JSON with a fixed name) exists, but its value at `keys` is not `wanted`.

    As an input it makes a job run again: Git may bring back newer files that were made from other settings.
    """
    if not (workflow.is_main_process and os.path.exists(record)):
        return []
    recorded = json.loads(Path(record).read_text(encoding="utf-8"))
    for key in keys:
        recorded = recorded.get(key)
    return [] if recorded == wanted else [f"{STEPS}/stale/{name}"]


rule stale:
    # removed when the run has succeeded: Snakemake keeps temporary files that a target asks for
    output:
        touch(f"{STEPS}/stale/{{name}}"),
    localrule: True


def gpu_resources(wanted):
    """What a job asks for that computes on a GPU: a number, which SLURM gets as --gpus, or the site's own --gres."""
    wanted = wanted and DEVICE != "cpu"
    return {"gpu": int(wanted and not PARAMS.gres), "gres": PARAMS.gres if wanted and PARAMS.gres else ""}


def whole_threads():
    """Threads of a job that has a device to itself: all, or its share where jobs run on several GPUs."""
    return max(1, CORES // max(1, GPUS * PARAMS.gpu_slots))


def minutes(cost, attempt):
    """Time to request: 1.5 times the planned time and 10 minutes for slow file systems; more at each attempt."""
    return attempt * (10 + int(cost["seconds"] * 1.5 / 60) if cost else 240)


def mebibytes(cost, attempt):
    """Memory to request: 1.3 times the planned memory and 500 MiB; more at each attempt."""
    return attempt * (500 + int(cost["memory_mib"] * 1.3) if cost else 8000)

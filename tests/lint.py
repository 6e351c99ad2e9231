"""What Snakemake's linter says of the rules, but for what is so on purpose."""

import re
import subprocess
import sys
from pathlib import Path

ON_PURPOSE = {
    "Specify a conda environment or container for each rule.": "one environment for all, from requirements.lock",
    "No log directive defined": "rules that run nothing, or write one small file",
    "Mixed rules and functions in same snakefile.": "a rule's inputs are read beside it",
    "Shell command directly uses variable": "where files come from and what computes is no parameter of a result",
    "Param folder is a prefix of input or output file but hardcoded": "jobs find their tables in it",
    "Param site is a prefix of input or output file but hardcoded": "pages share what lies beside them",
    "Environment variable PATH used": "extended, not read",
    "Absolute path": "the kernel's list of GPUs",
    "Migrate long run directives": "pruning is five lines",
}

if __name__ == "__main__":
    root = Path(__file__).parent.parent
    said = subprocess.run([sys.executable, "-m", "snakemake", "--lint"], cwd=root, capture_output=True, text=True)
    if "Lints for" not in said.stderr:
        sys.exit(said.stderr)  # it could not read the rules
    faults = [
        fault for fault in re.findall(r"^    \* (.+)", said.stderr, re.M) if not fault.startswith(tuple(ON_PURPOSE))
    ]
    sys.exit("\n".join(faults) or 0)

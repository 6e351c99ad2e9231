"""Start Snakemake safely, and show its progress."""

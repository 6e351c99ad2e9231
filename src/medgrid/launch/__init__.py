"""Start Snakemake safely, show and record its progress, and restore or open results."""

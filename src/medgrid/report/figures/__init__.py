"""The figures of a study: a module each, see `medgrid.report.figures.registry`."""

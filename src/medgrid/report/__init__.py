"""Reports: figures, explanations, model cards and pages."""

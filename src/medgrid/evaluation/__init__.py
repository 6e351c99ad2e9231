"""From predictions to numbers: metrics per replicate, means and intervals per cell."""

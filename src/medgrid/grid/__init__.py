"""From settings to files: the cells of a grid, the files they need, and names that say what a file was made from."""

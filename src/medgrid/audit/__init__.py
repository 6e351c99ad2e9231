"""What is wrong with images before anything learns from them; and splits that take it into account."""

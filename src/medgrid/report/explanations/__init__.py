"""Explanations of predictions for one test image: LIME and Grad-CAM, for each model and mode of a study."""

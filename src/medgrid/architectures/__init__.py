"""What is known of networks without importing torch: torchvision's names, Keras's lists of layers."""

"""Networks: weights and backbones."""

"""Networks: weights, backbones, and features of frozen backbones."""

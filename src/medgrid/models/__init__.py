"""Networks: weights, backbones, and the features that frozen backbones give."""

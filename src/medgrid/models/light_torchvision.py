"""torchvision, imported without torch's compiler.

`torchvision.ops.roi_align`, which only detection models use, imports one function of `torch._dynamo`. That loads the
whole compiler and takes longer than importing torch itself. Here a stand-in answers instead: no compiler support.
"""

import sys
from types import SimpleNamespace

COMPILER = "torch._dynamo.utils"

_standin = SimpleNamespace(is_compile_supported=lambda device: False)
sys.modules.setdefault(COMPILER, _standin)
try:
    import torchvision
    from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names
finally:
    # whoever needs the compiler later, such as torch.optim, imports the real one
    if sys.modules[COMPILER] is _standin:
        del sys.modules[COMPILER]

__all__ = ["create_feature_extractor", "get_graph_node_names", "torchvision"]

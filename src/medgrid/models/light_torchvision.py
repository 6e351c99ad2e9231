"""torchvision, imported without torch's compiler.

`torchvision.ops.roi_align`, which only detection models use, imports one function of `torch._dynamo`. That loads the
whole compiler and takes longer than importing torch itself. A substitute module is imported here instead; it reports
that the compiler is not supported.
"""

import sys
from types import SimpleNamespace
from typing import Any

COMPILER = "torch._dynamo.utils"

_substitute: Any = SimpleNamespace(is_compile_supported=lambda device: False)
sys.modules.setdefault(COMPILER, _substitute)
try:
    import torchvision
    from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names
finally:
    # so that later imports, such as by torch.optim, get the real module
    if sys.modules[COMPILER] is _substitute:
        del sys.modules[COMPILER]

__all__ = ["create_feature_extractor", "get_graph_node_names", "torchvision"]

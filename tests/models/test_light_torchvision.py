"""torchvision without torch's compiler."""

import subprocess
import sys

import pytest

CODE = """
import sys
import medgrid.models.networks
assert "torch._dynamo" not in sys.modules
from torchvision.models import resnet18
import torch._dynamo.utils
assert torch._dynamo.utils.__file__
"""


@pytest.mark.slow
def test_networks_are_imported_without_the_compiler_which_stays_usable():
    result = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr

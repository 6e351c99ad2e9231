"""Time LIME against the bare forward passes of as many images: same network, same batch size, alternating.

    python benchmarks/lime.py

The network has random weights; its time does not depend on them. Printed are medians over the repeats, and of the
ratio within each repeat, since other work on the machine slows both sides.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch

from medgrid.config import Model
from medgrid.models.device import choose
from medgrid.models.networks import build
from medgrid.report.explanations.attribution import BATCH, lime, superpixels

NETWORKS = ("resnet50", "vgg16", "efficientnet_b0")
CLASSES = 4
CELLS = 9  # squares per side in the image: about as many as superpixels


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(name: str, size: int, perturbations: int, repeats: int) -> tuple[float, float, float]:
    """Median seconds of LIME and of bare forward passes, and the median ratio."""
    network = build(Model(backbone=name), CLASSES, "imagenet", "random", 3, size, seed=0).eval()
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, 256, (1, 3, CELLS, CELLS), generator=generator).float()
    pixels = torch.nn.functional.interpolate(coarse, size)[0]
    image = pixels.permute(1, 2, 0).to(torch.uint8).contiguous()
    segments = superpixels(image.numpy())
    images = torch.randint(0, 256, (perturbations, size, size, 3), dtype=torch.uint8, generator=generator)

    @torch.no_grad()
    def bare() -> None:
        for batch in images.split(BATCH):
            network(batch)

    bare()  # the first passes also allocate memory
    pairs = []
    for repeat in range(repeats):
        sides = [lambda: lime(network, image, segments, 0, perturbations), bare]
        if repeat % 2:  # whichever runs second does so on a warmer processor
            pairs.append([seconds(side) for side in reversed(sides)][::-1])
        else:
            pairs.append([seconds(side) for side in sides])
    explained, passed = zip(*pairs, strict=True)
    return median(explained), median(passed), median(one / other for one, other in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=NETWORKS, help="torchvision models")
    parser.add_argument("--size", type=int, default=128, help="side of the image in pixels")
    parser.add_argument("--perturbations", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    choose("cpu", arguments.threads)
    print("| network | LIME, s | forward passes, s | ratio |\n|---|---:|---:|---:|")
    for name in arguments.networks:
        explained, passed, ratio = compare(name, arguments.size, arguments.perturbations, arguments.repeats)
        print(f"| {name} | {explained:.2f} | {passed:.2f} | {ratio:.3f} |", flush=True)


if __name__ == "__main__":
    main()

"""The eight orientations of a square image: mirrored or not, and turned by quarter turns."""

from typing import NamedTuple

import numpy as np


class Orientation(NamedTuple):
    """Mirrored left to right if `mirrored`, then turned counterclockwise by quarter turns."""

    mirrored: bool
    turns: int

    @property
    def name(self) -> str:
        """Such as "mirrored, turned 90"; empty for the image as it is."""
        parts = ["mirrored"] * self.mirrored + [f"turned {90 * self.turns}"] * (self.turns > 0)
        return ", ".join(parts)

    @property
    def inverse(self) -> "Orientation":
        """The orientation that undoes this one; a reflection undoes itself."""
        return self if self.mirrored else Orientation(False, -self.turns % 4)

    def of_images(self, images: np.ndarray) -> np.ndarray:
        """Images [N, H, H] in this orientation."""
        return np.rot90(images[:, :, ::-1] if self.mirrored else images, self.turns, (1, 2))

    def of_spectra(self, spectra: np.ndarray) -> np.ndarray:
        """Cosine transforms [N, F, F] of images in this orientation, from those of the images.

        A flip changes the signs of odd frequencies, a transposition swaps the axes.
        """
        signs = (-1.0) ** np.arange(spectra.shape[1], dtype=spectra.dtype)
        if self.mirrored:
            spectra = spectra * signs
        for _ in range(self.turns):
            spectra = spectra.transpose(0, 2, 1) * signs[:, None]
        return spectra


UPRIGHT = Orientation(False, 0)
TURNED = tuple(Orientation(mirrored, turns) for mirrored in (False, True) for turns in range(4) if mirrored or turns)
BY_NAME = {orientation.name: orientation for orientation in (UPRIGHT, *TURNED)}

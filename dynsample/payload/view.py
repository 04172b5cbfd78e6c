"""Which part of a sample to show: what a data set gets in place of an index."""

from __future__ import annotations

from typing import NamedTuple


class View(NamedTuple):
    """An item argument: `dataset[View(sample, crop, flip)]` is the sample as the teacher saw it.

    Attributes
    ----------
    sample : int
    crop : (float, float, float, float)
        Top, left, height and width, as shares of the image's.
    flip : bool
        Mirror it from left to right after cropping.

    Examples
    --------
    >>> View(sample=7, crop=(0.25, 0.0, 0.5, 1.0), flip=False).pixels(32, 32)
    (8, 0, 16, 32)
    """

    sample: int
    crop: tuple[float, float, float, float]
    flip: bool

    def pixels(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Return top, left, height and width of the crop in an image of this size.

        Its edges are rounded to whole pixels, as in the published replay and in DALI; the crop has
        at least one pixel and lies inside of the image.

        Examples
        --------
        >>> View(0, (0.25, 0.0, 0.5, 1.0), False).pixels(32, 20)
        (8, 0, 16, 20)
        """
        top, left, tall, wide = self.crop
        first_row, rows = _span(top, tall, height)
        first_column, columns = _span(left, wide, width)
        return first_row, first_column, rows, columns


def _span(start: float, share: float, length: int) -> tuple[int, int]:
    """First pixel along one side of an image, and how many."""
    first = max(0, min(round(start * length), length - 1))
    stop = min(round(start * length + share * length), length)
    return first, max(1, stop - first)

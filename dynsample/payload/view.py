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
    """

    sample: int
    crop: tuple[float, float, float, float]
    flip: bool

    def pixels(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Top, left, height and width of the crop in an image of this size.

        Rounded to whole pixels, at least one and inside of the image.

        Examples
        --------
        >>> View(0, (0.25, 0.0, 0.5, 1.0), False).pixels(32, 20)
        (8, 0, 16, 20)
        """
        top, left, tall, wide = self.crop
        rows = max(1, min(round(tall * height), height))
        columns = max(1, min(round(wide * width), width))
        first_row = max(0, min(round(top * height), height - rows))
        first_column = max(0, min(round(left * width), width - columns))
        return first_row, first_column, rows, columns

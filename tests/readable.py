"""Whether a figure can be read."""

import itertools


def assert_readable(figure, smallest: float = 6.5) -> None:
    """No label on another, no legend on axes, nothing too small to read."""
    figure.draw_without_rendering()
    subfigures = [figure, *figure.subfigs]
    for axes in itertools.chain.from_iterable(part.axes for part in subfigures):
        if not axes.axison:
            continue
        ticks = [label for label in axes.get_yticklabels() if label.get_text() and label.get_visible()]
        boxes = sorted((label.get_window_extent() for label in ticks), key=lambda box: box.y0)
        for below, above in itertools.pairwise(boxes):
            assert above.y0 >= below.y1 - 1, [label.get_text() for label in ticks]
        for label in [*ticks, *(each for each in axes.get_xticklabels() if each.get_text()), axes.title]:
            assert label.get_fontsize() >= smallest
        for other in itertools.chain.from_iterable(part.axes for part in subfigures):
            if other is not axes and axes.get_title() and other.get_title():
                assert not axes.title.get_window_extent().overlaps(other.title.get_window_extent()), axes.get_title()
        for legend in figure.legends:
            assert not legend.get_window_extent().overlaps(axes.get_window_extent())

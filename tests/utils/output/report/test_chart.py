"""Charts: values at their places, gaps where there are none, round numbers along the axes."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from cycleisp.utils.output.report.axes import Axis, Scale
from cycleisp.utils.output.report.chart import Series, chart

SVG = "{http://www.w3.org/2000/svg}"


X, Y = Axis("x"), Axis("y")


def drawn(*series: Series, x: Axis = X, y: Axis = Y, caption: str = "") -> ElementTree.Element:
    """Returns the figure as a tree, which it must be for any browser."""
    return ElementTree.fromstring(chart(series, x, y, caption))


def test_a_scale_maps_its_ends_to_the_ends_of_the_paper() -> None:
    linear, log = Scale(10, 30, 0, 100, False), Scale(1, 100, 0, 100, True)
    np.testing.assert_allclose(linear.places(np.array([10.0, 20.0, 30.0])), [0, 50, 100])
    np.testing.assert_allclose(log.places(np.array([1.0, 10.0, 100.0])), [0, 50, 100])
    assert np.isnan(log.places(np.array([0.0, -1.0, np.nan]))).all()


@pytest.mark.parametrize(
    ("low", "high", "log", "expected"),
    [
        (0, 10, False, ["0", "2", "4", "6", "8", "10"]),
        (-0.013, 0.031, False, ["-0.01", "0", "0.01", "0.02", "0.03"]),
        (1e-7, 1e-2, True, ["1e-7", "1e-6", "1e-5", "1e-4", "1e-3", "1e-2"]),
        (20, 1000, True, ["20", "50", "100", "200", "500", "1000"]),
        (4e-5, 2e-3, True, ["5e-5", "1e-4", "2e-4", "5e-4", "1e-3", "2e-3"]),
        (90, 130, True, ["90", "100", "110", "120", "130"]),
    ],
)
def test_numbers_along_an_axis_are_round(low: float, high: float, log: bool, expected: list[str]) -> None:
    assert [words for _, words in Scale(low, high, 0, 1, log).ticks(6)] == expected


@pytest.mark.parametrize("values", [[], [5.0], [np.nan, np.inf], [0.0, 0.0], [-1e300, 1e300]])
@pytest.mark.parametrize("log", [False, True])
def test_any_values_make_a_chart(values: list[float], log: bool) -> None:
    axis = Axis("x", log=log)
    for style in ("line", "points", "steps"):
        text = ElementTree.tostring(drawn(Series("a", values, values, style=style), x=axis, y=axis)).decode()  # type: ignore[arg-type]
        assert not re.search("nan|inf", text)


def test_points_lie_where_they_belong() -> None:
    tree = drawn(Series("", [0, 1, 2], [0, 10, np.nan], style="points"), x=Axis("x", low=0, high=2))
    circles = [(float(each.attrib["cx"]), float(each.attrib["cy"])) for each in tree.iter(f"{SVG}circle")]
    assert len(circles) == 2
    (left, low), (middle, high) = circles
    assert left < middle and low > high  # places count from the top


def test_wanted_numbers_are_marked_where_they_have_a_place() -> None:
    assert Scale(50, 5000, 0, 1, True).ticks(6, (25.0, 100.0, 3200.0)) == [(100.0, "100"), (3200.0, "3200")]


def test_names_that_need_several_lines_make_the_picture_higher() -> None:
    one, many = (drawn(*[Series(f"a long name of a series {each}", [1], [1]) for each in range(n)]) for n in (1, 9))
    heights = [float(next(tree.iter(f"{SVG}svg")).attrib["height"]) for tree in (one, many)]
    lowest = max(float(each.attrib["y"]) for each in many.iter(f"{SVG}text"))
    assert heights[0] < lowest < heights[1]


def test_a_gap_ends_a_line_and_its_band() -> None:
    y = np.array([1, 2, np.nan, 4, 5.0])
    tree = drawn(Series("a", np.arange(5), y, low=y - 1, high=y + 1))
    lines = list(tree.iter(f"{SVG}polyline"))
    assert [len(each.attrib["points"].split()) for each in lines] == [2, 2]
    assert len(list(tree.iter(f"{SVG}polygon"))) == 2


def test_a_histogram_stands_on_zero() -> None:
    tree = drawn(Series("a", [1, 2, 3], [5, 7, 6], style="steps"), y=Axis("y", low=0, high=10))
    (line,) = tree.iter(f"{SVG}polyline")
    points = [tuple(map(float, each.split(","))) for each in line.attrib["points"].split()]
    assert points[0][1] == points[-1][1] == max(y for _, y in points)
    assert len({x for x, _ in points}) == 4  # the edges of three bars


def test_words_are_escaped_and_shown() -> None:
    tree = drawn(Series("<b>&", [1], [1]), x=Axis("a<b"), caption='say "x"\x1b')
    words = [each.text for each in tree.iter() if each.text]
    assert "<b>&" in words and "a<b" in words and 'say "x"\\x1b' in words


def test_parts_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="series 'a': expected x, y"):
        chart([Series("a", [1, 2], [1])], Axis("x"), Axis("y"))
    with pytest.raises(ValueError, match="series 'a': expected x, y"):
        chart([Series("a", [1], [1], low=[1])], Axis("x"), Axis("y"))

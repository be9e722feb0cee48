"""What the tests take an expression apart with does so rightly."""

from __future__ import annotations

import pytest

from tests.grafana.promql import filled, shortened, sides


@pytest.mark.parametrize(
    ("expr", "found"),
    [
        ('up{job="a>b"} == 0', ['up{job="a>b"}']),
        ('sum(a{b!="c"}) / (d > 0) > 1', ['sum(a{b!="c"}) / (d > 0)']),
        ("(a > 1 and b > 2 or c > 3) and d >= 5", ["a", "b", "c", "d"]),
        ("a >= 5 unless on (job, provider) b > 0", ["a", "b"]),
        ("(a / (b > 0)) > 0.02 and a >= 3", ["(a / (b > 0))", "a"]),
    ],
)
def test_the_left_hand_sides_of_all_comparisons_are_found(expr: str, found: list[str]) -> None:
    assert sides(expr) == found


def test_only_what_looks_back_at_gauges_is_shortened() -> None:
    expr = 'min_over_time(a{b="c"}[10m]) > 0 and increase(d[1h]) > 0'
    assert shortened(expr) == 'min_over_time(a{b="c"}[5s]) > 0 and increase(d[1h]) > 0'


def test_what_is_not_chosen_is_everything() -> None:
    expr = 'rate(a{job=~"$job",model=~"$model"}[$__rate_interval])'
    assert filled(expr, model="m", rate="1m") == 'rate(a{job=~".*",model=~"m"}[1m])'

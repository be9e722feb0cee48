"""What the tests do to an expression: fill in a dashboard's variables, and take comparisons off."""

from __future__ import annotations

import re
from collections.abc import Iterator

_SET = re.compile(
    r"\s(and|or|unless)\b(\s*(on|ignoring)\s*\([^)]*\))?(\s*group_(left|right)\s*\([^)]*\))?"
)
_COMPARED = re.compile(r"(==|!=|<=|>=|<|>)(?!~)")
_OPEN, _CLOSE = "([{", ")]}"
"""Inside of these nothing is looked for."""
_VARIABLE = re.compile(r"\$(job|instance|model|provider)\b")
SHORT = "5s"
"""The window of alerts that look back at gauges, in a test that does not last for minutes."""
_LOOKS_BACK = re.compile(r"(_over_time\s*\([^\[]*)\[\w+\]")


def filled(expr: str, *, rate: str = "10m", range: str = "10m", **chosen: str) -> str:
    """A panel's expression as Grafana sends it where all is chosen, but for what is `chosen`."""
    expr = expr.replace("$__rate_interval", rate).replace("$__range", range)
    expr = _VARIABLE.sub(lambda found: chosen.get(found[1], ".*"), expr)
    assert "$" not in expr, expr
    return expr


def shortened(expr: str) -> str:
    """An alert's expression that looks back at gauges for `SHORT` only. Windows of counters stay:
    they show what has happened within them, however little of them has passed. What is reckoned
    with the true windows and `for:` is tested by promtool."""
    return _LOOKS_BACK.sub(rf"\1[{SHORT}]", expr)


def sides(expr: str) -> list[str]:
    """What an alert looks at: the left-hand sides of all its comparisons."""
    return [found for part in _parts(_bare(expr)) for found in _sides_of(part)]


def _sides_of(part: str) -> Iterator[str]:
    bare = _bare(part)
    if bare != part.strip() and len(_parts(bare)) > 1:
        yield from sides(bare)
        return
    at = next((m.start() for m in _COMPARED.finditer(bare) if _depth(bare, m.start()) == 0), None)
    yield bare[:at].strip()


def _parts(expr: str) -> list[str]:
    """What stands between the set operators of the outermost level."""
    found, begin = [], 0
    for match in _SET.finditer(expr):
        if _depth(expr, match.start()) == 0:
            found.append(expr[begin : match.start()])
            begin = match.end()
    return [*found, expr[begin:]]


def _bare(expr: str) -> str:
    """Without the parentheses around all of it."""
    expr = expr.strip()
    while expr.startswith("(") and _closing(expr) == len(expr) - 1:
        expr = expr[1:-1].strip()
    return expr


def _closing(expr: str) -> int:
    return next(at for at in range(len(expr)) if _depth(expr, at + 1) == 0)


def _depth(expr: str, end: int) -> int:
    """How many brackets are open before `end`; quoted text is passed over."""
    depth, quoted = 0, False
    for sign in expr[:end]:
        if sign == '"':
            quoted = not quoted
        elif not quoted:
            depth += (sign in _OPEN) - (sign in _CLOSE)
    return depth

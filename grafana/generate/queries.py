"""The selections and expressions that panels share."""

from __future__ import annotations

HERE = 'job=~"$job",instance=~"$instance"'
"""The selection of the variables that every dashboard has."""
MODEL = f'{HERE},model=~"$model"'
PROVIDER = f'{HERE},provider=~"$provider"'
STEP = "$__rate_interval"


def rate(metric: str, selection: str, *by: str) -> str:
    """A counter's rate a second, summed up by labels."""
    return f"sum by ({', '.join(by)}) (rate({metric}{{{selection}}}[{STEP}]))"


def quantile(share: float, metric: str, selection: str, *by: str) -> str:
    """Below which so much of a histogram lies."""
    return f"histogram_quantile({share}, {rate(f'{metric}_bucket', selection, 'le', *by)})"

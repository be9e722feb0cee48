"""Ways in which graphs that compute the same may be written."""

from __future__ import annotations

import msgspec


class Style(msgspec.Struct, frozen=True):
    """The plain one is as near to the real export as is known; of the real codec graphs nothing is
    known but inputs and outputs, so that nobody may rely on more."""

    renamed: bool = False
    """Nodes, values and parameters have names that tell nothing."""
    constants: bool = False
    """Parameters stand in Constant nodes instead of the data file."""
    bias_last: bool = False
    """Biases are the second thing added, not the first."""
    spelt_out: bool = False
    """Matrices are [out, in], and a node transposes them; in the codec norms are single steps,
    queries, keys and values come each from a matrix of their own, and the query is scaled in place
    of the scores."""


PLAIN = Style()
STYLES = {
    "plain": PLAIN,
    "renamed": Style(renamed=True),
    "constants": Style(constants=True),
    "bias-last": Style(bias_last=True),
    "spelt-out": Style(spelt_out=True),
    "all": Style(renamed=True, constants=True, bias_last=True, spelt_out=True),
}

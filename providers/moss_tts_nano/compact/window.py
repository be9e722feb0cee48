"""Attention that sees so many steps back, as nodes of a graph."""

from __future__ import annotations

from providers.moss_tts_nano.compact.emit import MICROSOFT, Graph


class Window:
    """Writes one attention's nodes: `heads` of `head_width`, which see `context` steps, their own
    included. Rotary positions are in the queries and keys already."""

    def __init__(self, graph: Graph, heads: int, head_width: int, context: int) -> None:
        self._graph = graph
        self.heads, self.head_width, self.context = heads, head_width, context

    def flat(self, x: str) -> str:
        """[rows, heads, steps, head width] as [rows, steps, hidden]"""
        graph = self._graph
        x = graph.op("Transpose", x, perm=[0, 2, 1, 3])
        return graph.op("Reshape", x, graph.constant([0, 0, self.heads * self.head_width]))

    def unflat(self, x: str, name: str) -> None:
        """The other way round, and under this name."""
        graph = self._graph
        x = graph.op("Reshape", x, graph.constant([0, 0, self.heads, self.head_width]))
        graph.ops("Transpose", [name], x, perm=[0, 2, 1, 3])

    def attend(
        self, query_key_value: list[str], past: list[str], present: list[str], total: str
    ) -> str:
        """`total` int32 [1]: steps so far with the new ones. The caches hold the newest
        `context` steps at least; the operator moves them on by itself."""
        graph = self._graph
        mixed = graph.name()
        graph.ops(
            "GroupQueryAttention",
            [mixed, *present],
            *query_key_value,
            *past,
            graph.op("Sub", total, graph.constant([1], "int32")),
            graph.op("Squeeze", total),
            domain=MICROSOFT,
            num_heads=self.heads,
            kv_num_heads=self.heads,
            local_window_size=self.context,
            sliding_window_cache=1,
        )
        return mixed

"""The decisions: what a write, a copy or a refusal *is*, with no I/O, no clock and no chance.

Time, chance and configuration arrive as arguments. Times are milliseconds since the Unix epoch (`_ms`), sizes are
bytes. Standard library only.
"""

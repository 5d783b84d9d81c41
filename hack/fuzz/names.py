"""Fuzzing: a *target* is a function of bytes that raises where a parser of ours breaks what it promises; its *corpus* (tests/corpus/TARGET)
holds inputs that between them reach what was reached so far."""

NAMES = ("request", "answer", "signature", "proof", "chunks", "document", "conditions")

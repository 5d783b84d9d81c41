"""A *worker* repairs one kind of difference between what rows say and what backends hold.

The *driver* decides when it runs; the worker never knows. It takes no hints: `run_once` looks at the rows itself, and a wake-up
only makes it look sooner. A *report* is what one run did.

An *operation* is what somebody asked for once, at the *desk*: a drain, a rebalance, a purge. One worker carries out all of them, each with
the same *means*. What an operation does with every copy on a backend is done by a *convoy*; its *journal* keeps its row up to date.
"""

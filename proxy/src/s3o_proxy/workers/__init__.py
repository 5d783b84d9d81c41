"""A *worker* repairs one kind of difference between what rows say and what backends hold.

The *driver* decides when it runs; the worker never knows. It takes no hints: `run_once` looks at the rows itself, and a wake-up
only makes it look sooner. A *report* is what one run did.
"""

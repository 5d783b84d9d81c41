"""One story per S3 operation family: what happens, in which order, and why in that order.

A *write* reserves space (an intent), moves bytes, and commits; whatever stops it in between abandons the intent, so that the ledger
always mentions every byte that may lie on a backend (I2). Besides `workers`, only this package sees both metadata and backends.
"""

"""The decisions: `Observed` in, `Plan` out. Pure: no client, no clock, no chance; a plan can be printed, and holds no printable secret.

*Observed*: a frozen picture of one key. *Action*: one write. *Plan*: the actions that lead from what is to what is wanted, in order.
An `Observed` that is already as wanted has an empty plan.
"""

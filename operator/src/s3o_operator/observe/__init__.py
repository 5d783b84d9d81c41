"""The cluster as it was last seen, and the `Observed` of one key out of it.

The cache is fed by three: watches (at once), listings (which alone know what is no longer there), and the answers to our own writes.
Whoever is newer wins.
"""

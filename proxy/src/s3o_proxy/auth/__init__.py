"""Who is asking, and may they. Pure but for one bounded memory of signing keys that proved themselves.

A *claim* is what a request says of its signature; a *signing key* is derived from a secret for one day, region and service; *scope* is
those three as the signature names them.
"""

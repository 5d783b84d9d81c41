"""What the proxy was told: custom resources read from files, compiled, and handed out as one immutable snapshot at a time.

A *snapshot* is one generation of the configuration with the indexes that a request needs. Nobody changes one; a change of the files makes
the next, or is refused as a whole with its reasons, and the one before keeps serving.
"""

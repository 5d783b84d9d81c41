"""The edge: bytes of a connection in, bytes of an answer out, and everything a client may do wrong in between.

In the order of a request: `server` accepts, `protocol` parses and keeps the order of a connection, `endpoint` tells the story of one S3
request, `body` holds the client to its promises, `respond` words the answer, `exchange` moves bytes at the pace of the slower side.
`site` answers health and metrics on the same port.
"""

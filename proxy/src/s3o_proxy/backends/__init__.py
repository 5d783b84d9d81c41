"""The stacked S3 endpoints, and the only client code that speaks to them.

A *backend* is one bucket at one provider. Its *traits* are what its provider promises. An *upload* is a request's body on its way there. A
*deadline* bounds waiting for a backend, never the length of a transfer. A *call* is what the guard around a backend tells of each use.
"""

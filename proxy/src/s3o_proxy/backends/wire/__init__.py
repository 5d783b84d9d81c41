"""Our own HTTP/1.1 client for what every request of a client needs: GET, PUT, HEAD, DELETE and UploadPart.

A *connection* carries one request at a time. A *pool* keeps a backend's connections while they are idle. A *dialer* makes new ones. An
*answer* is a response as it arrives. A *signer* makes a request's SigV4 headers. An *address* is where a bucket lies, as botocore has it.
"""

"""What the proxy tells about itself: metrics to be scraped, and log lines.

A *metric* is documented in docs/reference/metrics.md under the name it is scraped by. A *log line* is one JSON object on standard error.
The *outlet* takes it there, and holds nobody up. No secret value ever appears in either (I7).
"""

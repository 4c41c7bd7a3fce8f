"""Send one range request to a server or bucket, and check its answer.

- `http`: get a byte range from a web server: one GET, whose answer is checked (RFC 9110)
- `reply`: classify what servers and buckets answer: retry, give up, absent, unreachable
- `request`: request a byte range from a server or bucket: once, with retries where they can
  help
- `s3`: get a byte range from an S3 bucket: one GetObject, whose answer is checked
"""

"""Serve the page to this machine's browser alone.

- `guard`: decide which requests are answered: those with the token, to this server's own name
- `headers`: what each answer tells the browser not to do
- `server`: serve a page from a thread, with a document for each window that opens it
"""

"""Serve the page to this machine's browser alone.

- `guard`: decide which requests are answered: those with the token, to this server's own name
- `notebook`: show a page in the cell of a notebook, through its own connection
- `handlers`: answer what the guard lets pass: the page, its web socket, scripts; and refusals
- `socket`: take from the browser what a page sends, and nothing else
- `outbox`: send what one event changes on a page in one message
- `server`: serve a page from a thread, with a document for each window that opens it
"""

"""Read what panels ask for, in threads.

- `worker`: run the newest request of each panel, and leave out those that it replaces
"""

"""Read what panels ask for, in threads.

- `planes`: read the part of a plane that is shown, and keep it
- `worker`: run the newest request of each panel, and leave out those that it replaces
"""

"""What the stores of an archive hold, to be compared."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path


def contents(store: Path) -> dict[str, str]:
    """What each file of a store holds, but for the date in its description and what depends on it.

    ASDF also names the extensions that wrote a file, in an order that is another in each process.
    """
    found = {}
    for path in sorted(store.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            if path.name == "dataset.asdf":
                _, begin, data = data.partition(b"\ndkist_virtual:")
                assert begin
                data, n_dates = re.subn(rb"\n +date: '?[0-9T:+-]+'?\n", b"\n", data)
                data, n_digests = re.subn(rb"digest: '?[0-9a-f]{64}", b"", data)
                assert (n_dates, n_digests) == (1, 1)
            found[str(path.relative_to(store))] = hashlib.sha256(data).hexdigest()
    return found

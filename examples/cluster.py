"""A dataset on a cluster: converted by its workers, and summed by them.

python cluster.py [ADDRESS [ASDF]]     the address of a dask scheduler, by default one of our own
"""

from __future__ import annotations

import pickle
import sys
import tempfile
from pathlib import Path

import numpy as np
from distributed import Client, LocalCluster

import dkist_virtual as dv
from dkist_virtual.demo.vtf import make_vtf


def main(client: Client, asdf: Path, directory: Path) -> None:
    # The workers scan the frames. They have to find them under the same names as we do.
    print(dv.convert(asdf, directory / "example.virtual", client=client))

    # Only the store's place and the selection are sent; each worker opens the store itself.
    ds = dv.open_dataset(directory / "example.virtual", chunks="frame")
    print("A pickled ds.data:", len(pickle.dumps(ds.data)), "bytes")

    mean = ds.data.mean(axis=tuple(range(ds.data.ndim - 2)))
    on_cluster = client.compute(mean).result()
    print("Mean frame:", on_cluster.shape, "by", len(client.nthreads()), "workers")

    here = mean.compute(scheduler="threads")
    print("The same as here:", np.allclose(on_cluster, here))

    # A slice is a task for each of its frames, however large the dataset is.
    print("Tasks of one frame:", len(ds[(0,) * (ds.data.ndim - 2)].data.dask))


if __name__ == "__main__":
    address, *rest = sys.argv[1:] or [None]
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        if rest:
            asdf = Path(rest[0])
        else:
            asdf = make_vtf(work / "VTF", (2, 2, 5, 48, 64), echo=lambda _: None)
        if address is None:
            options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
            with LocalCluster(**options) as cluster, Client(cluster) as client:
                main(client, asdf, work)
        else:
            with Client(address) as client:
                main(client, asdf, work)

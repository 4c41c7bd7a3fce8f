"""Exchange `ndcube.NDCube` for our `Dataset` in ndcube's own tests: a pytest plugin.

Its conftest and test modules take the class from the package `ndcube` when they are imported,
which is after this.
"""

from __future__ import annotations

import ndcube

import dkist_virtual as dv

ndcube.NDCube = dv.Dataset

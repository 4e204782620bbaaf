"""The benchmark of distance: dicomove beside its peers, with the PACS at the far end of a wire of a given length.

From the root of the repository, as root::

    python -m benchmarks.distance --output results

benchmarks/README.md tells what is compared with what.
"""

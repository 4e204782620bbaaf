"""The benchmark of receiving: dicomove's receiver beside its peers, from one Orthanc, in one run.

From the root of the repository::

    python -m benchmarks.receiving --output results

benchmarks/README.md tells what is compared with what.
"""

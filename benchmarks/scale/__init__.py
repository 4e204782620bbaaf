"""The benchmark of scale: what a row costs of dicomove's own, where the PACS costs nothing."""

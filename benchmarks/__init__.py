"""Programs that measure dicomove."""

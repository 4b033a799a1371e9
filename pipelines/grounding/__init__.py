"""Training of the weights that ship: the bundled base's grounding and the reader, from public data."""

"""Which slices to annotate next: one contract, one catalogue, one file a family of strategies. Importing the package imports no torch."""

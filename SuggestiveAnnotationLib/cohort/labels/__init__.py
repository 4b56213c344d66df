"""What labels mean: schemas, structures by name, label files of every kind, which of their slices count."""

"""The study: one folder with the database that everything else reads and writes."""

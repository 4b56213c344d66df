"""The figures of the report, one subject a file. Every function takes report data and gives panels; none keeps state."""

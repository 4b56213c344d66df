"""The report of a study: one HTML page that needs nothing else. `collect` reads a study, `page` draws what was collected."""

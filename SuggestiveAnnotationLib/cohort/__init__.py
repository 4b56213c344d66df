"""Cases of a cohort: finding, reading and checking the files a person has, and who belongs to which part of the study."""

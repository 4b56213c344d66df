"""One function a verb. Each takes the study, a progress callback and a cancel token; command line, worker and experiments call these.

Verbs live in modules of their own name, so that a caller imports torch only with the verb that needs it.
"""

"""`python -m SuggestiveAnnotationLib` is the command line."""

import sys

from SuggestiveAnnotationLib.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

"""`python -m emo2.runner` is the `emo2` command."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())

"""`python -m dynsample`."""

import sys

from dynsample.cli import main

sys.exit(main())

"""`python -m deploy.images`: build the three images (deploy/images/build.py)."""

import sys

from deploy.images.build import main

sys.exit(main())

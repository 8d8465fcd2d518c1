"""The command line is tested on the same small system as the study."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "study"))

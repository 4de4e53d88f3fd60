"""Labelled pathological brain MRI: reshape labels, render images, reject the bad ones.

The public surface is the command line (``pathosynth --help``) and the modules documented in
``docs/``. Importing this package imports neither torch nor any plugin.
"""

__version__ = "0.1.0"

"""The engine of the pathologies: closed-loop label-volume flow, measurements, exact volumes, validity report."""

from pathosynth.morphing.morphed import Morphed

__all__ = ["Morphed"]

"""nnU-Net, through its own commands and files only, as processes of their own (Isensee et al. 2021)."""

from pathosynth.segmenters.nnunet.config import CHANGEABLE, Config, config_from_plan, plans
from pathosynth.segmenters.nnunet.predict import image_path, labels_of, predict
from pathosynth.segmenters.nnunet.train import prepare, train

__all__ = [
    "CHANGEABLE", "Config", "config_from_plan", "image_path", "labels_of", "plans", "predict", "prepare", "train",
]  # fmt: skip

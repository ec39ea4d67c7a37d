"""Views of an image (or of a feature map): ``VIEWS`` maps a name to a way of making one."""

from evaluation.views import other
from evaluation.views.mirroring import VIEWS, View, flip

__all__ = ["VIEWS", "View", "flip", "other"]

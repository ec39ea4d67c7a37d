"""Second versions of an image (or of a feature map): ``VIEWS`` maps a name to a way of making one."""

from . import views_other
from .views_mirror import VIEWS, View, flip

__all__ = ["VIEWS", "View", "flip", "views_other"]

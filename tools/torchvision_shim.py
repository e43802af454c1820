"""Lets a torchvision that was built for CUDA be imported beside a CPU build of torch.

``monailabel_env.sh`` puts it into its environment where torchvision fails to import ("operator torchvision::nms does
not exist"): its compiled part does not load there, and its Python part expects two operators of it to be declared.
MONAI Label uses ``torchvision.utils`` only, which needs neither.
"""

import sys
from importlib.abc import MetaPathFinder


class DeclareFirst(MetaPathFinder):
    """Declares the operators when torchvision is first imported, not when Python starts: torch takes a second."""

    def find_spec(self, fullname, path=None, target=None):
        """Find nothing; once, for torchvision, declare what it expects."""
        if fullname == "torchvision":
            sys.meta_path.remove(self)
            import torch

            self.library = torch.library.Library("torchvision", "DEF")
            for name in ("nms", "qnms"):
                self.library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            torch.torchvision_shim = self  # a library that is collected takes its declarations along
        return None


sys.meta_path.insert(0, DeclareFirst())

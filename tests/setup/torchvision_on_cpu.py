"""Lets a torchvision that was built for CUDA be imported beside a torch that was built for the CPU.

PyPI has no torchvision for CPUs. Its compiled half cannot be loaded without CUDA, and then its import fails for want of
two operators' schemas, although transformers' image and video processors use nothing compiled. This declares the two,
and changes nothing else. `make test` puts it into the environment where it is needed, by a `.pth` file; where PyTorch's
own index for CPUs can be reached, its torchvision needs none of this.
"""

import importlib.abc
import sys


class _BeforeTorchvision(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        # Finds nothing itself: it acts at the first look for torchvision, then leaves the way free.
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch

            if torch.version.cuda is None:
                library = torch.library.Library("torchvision", "DEF")
                for operator in ("nms", "qnms"):
                    library.define(operator + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
                torch._gristmill_torchvision = library  # the schemas live as long as this does


sys.meta_path.insert(0, _BeforeTorchvision())

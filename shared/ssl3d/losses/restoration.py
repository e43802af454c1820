"""Compare images restored from corrupted or masked images with the original."""

from torch import Tensor, nn

from .masked_mean import at_least_float32, check_same_shape, check_volume, masked_mean


class RestorationLoss(nn.Module):
    """Mean squared error over the voxels of a mask.

    Raises:
        ValueError: in a call, for a wrong shape.

    Source: GVSL (arXiv:2303.00874), the self-restoration loss, over all valid voxels; masked autoencoders
    (arXiv:2111.06377), over the hidden ones.

    Example:
        >>> import torch
        >>> image = torch.zeros(1, 1, 4, 4, 4)
        >>> RestorationLoss()(image, image + 3)
        tensor(9.)
    """

    def forward(self, pred: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compare ``pred`` and ``target``, both of shape ``(B, C, D, H, W)``.

        Args:
            pred: Restored image.
            target: Original image, on the same intensity scale.
            mask: Shape ``(B, 1, D, H, W)``, 1 at the voxels that enter the mean (:func:`masked_mean`), 0 at the others.

        Returns:
            A scalar in the dtype of ``pred``, float32 at least.
        """
        check_volume("pred", pred)
        check_same_shape(pred, target)
        pred = at_least_float32(pred)
        return masked_mean((pred - target.to(pred)).square(), mask)

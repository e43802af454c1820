"""Pre-training in a plain PyTorch loop, then the backbone in a segmentation network: classes of ssl3d, no configs.

python docs/examples/plain_pytorch_loop.py DATA  # a folder with imagesTr; writes mae.pt to the working directory
"""

import sys
from pathlib import Path

import torch
from monai.transforms import Compose, LoadImage, Resize, ScaleIntensityRangePercentiles

from ssl3d import weights
from ssl3d.methods import MAE
from ssl3d.networks import ReconstructionNet, SegmentationNet, UNet3d
from ssl3d.transforms import BlockMask, MaskedViews, SpatialAugmentation

data, settings = Path(sys.argv[1]), {"in_channels": 1, "channels": (8, 16, 32), "stem_stride": 2}
scale = ScaleIntensityRangePercentiles(1, 99, 0, 1, clip=True)
prepare = Compose([LoadImage(ensure_channel_first=True), scale, Resize((32, 48, 32))])
volumes = [prepare(file).as_tensor() for file in sorted(data.glob("imagesTr/*.nii.gz"))]

torch.manual_seed(0)
method = MAE(ReconstructionNet(UNet3d(**settings), out_channels=1))
views = MaskedViews(SpatialAugmentation(), BlockMask(block_size=8, ratio=0.6), seed=0)
optimizer = torch.optim.AdamW(method.parameters(), lr=0.003)
for step in range(31):
    draws = torch.arange(4) + 4 * step  # every random parameter is a function of (seed, draw)
    image = torch.stack([volumes[draw % len(volumes)] for draw in draws])
    loss = method(views({"image": image, "valid": torch.ones_like(image), "draw": draws})[0])["reconstruction"]
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 10 == 0:
        print(f"step {step + 1}: mean squared error at hidden voxels {loss:.4f}")
torch.save(method.student.state_dict(), "mae.pt")
print(weights.load(SegmentationNet(UNet3d(**settings), out_channels=3), "mae.pt", part="backbone"))

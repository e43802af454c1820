"""The pre-trained backbone of a bundle in a MONAI script of your own, where ssl3d is installed.

python docs/examples/backbone_in_monai_script.py bundles/gvsl_pretraining DATA  # a folder with imagesTr and labelsTr
"""

import sys
from pathlib import Path

import torch
from monai import transforms as mt
from monai.bundle import load
from monai.data import DataLoader, Dataset
from monai.losses import DiceCELoss
from monai.metrics import DiceMetric

from ssl3d.networks import SegmentationNet

torch.manual_seed(0)
bundle, data, size, both = Path(sys.argv[1]).resolve(), Path(sys.argv[2]), (32, 48, 32), ["image", "label"]
sys.path.insert(0, str(bundle))  # its config names classes of the folder `scripts` there
pretrained = load(bundle.name, bundle_dir=bundle.parent, workflow_type="inference", device="cpu")
network = SegmentationNet(pretrained.backbone, out_channels=2)

prepare = [mt.LoadImaged(both, ensure_channel_first=True), mt.Orientationd(both, "RAS", labels=None)]
prepare += [mt.Spacingd(both, (1, 1, 1), mode=("bilinear", "nearest")), mt.AsDiscreted("label", threshold=0.5)]
prepare += [mt.ScaleIntensityRangePercentilesd("image", 1, 99, 0, 1, clip=True), mt.SpatialPadd(both, size)]
views = mt.Compose([*prepare, mt.RandSpatialCropd(both, size, random_size=False)])
items = [{"image": scan, "label": data / "labelsTr" / scan.name} for scan in sorted(data.glob("imagesTr/*.nii.gz"))]
loader = DataLoader(Dataset(items[1:], views.set_random_state(0)), batch_size=1, shuffle=True)
optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
for epoch in range(12):
    for batch in loader:
        loss = DiceCELoss(to_onehot_y=True, softmax=True)(network(batch["image"]), batch["label"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch + 1}: loss {loss:.2f}")
case, dice = mt.Compose(prepare)(items[0]), DiceMetric(include_background=False, num_classes=2)
dice(network(case["image"][None]).argmax(1, keepdim=True), case["label"][None])
print(f"{items[0]['image'].name}: Dice {dice.aggregate().item():.2f}")

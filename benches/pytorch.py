#!/usr/bin/env python3
"""The PyTorch and HF PEFT side of `cargo xtask bench`: one measurement per process.

Reads a job as JSON from stdin and prints the measurements as JSON; `src/job.rs` documents both.
The code follows the guides of the libraries with the settings that make training on a CPU fast:
`torch.optim.Adam(fused=True)`, PEFT's `get_peft_model`, and the memory layout that the job asks for;
the bench tries several and takes the fastest. A library is imported only where it is used, because its
import takes time and memory.
"""

import json
import pathlib
import statistics
import sys
import time


def memory(name: str) -> int:
    """A memory figure of this process from /proc/self/status, in bytes (Linux)."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    return 0


START = time.monotonic()

import numpy  # noqa: E402
import torch  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from torch import nn  # noqa: E402

HEADS = {
    "chapter": "6", "resnet8-64": "linear", "resnet18": "fc", "mobilenet_v2": "classifier.1",
    "vit_tiny_patch16_224": "head", "dinov2_small": "head", "convnext_tiny": "classifier.2",
}

# timm's names of the models that have another one here.
TIMM = {"dinov2_small": "vit_small_patch14_dinov2"}


class Block(nn.Module):
    """A block of the network below; the shortcut is option A of the paper."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.around = stride, (outputs - inputs) // 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        if self.around:
            around = (0, 0, 0, 0, self.around, self.around)
            x = nn.functional.pad(x[:, :, ::self.stride, ::self.stride], around)
        return torch.relu(y + x)


class ResNet8(nn.Module):
    """He et al. 2015 (arXiv:1512.03385), section 4.2, with n = 1 and a first stride of 2."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(Block(16, 16, 1))
        self.layer2 = nn.Sequential(Block(16, 32, 2))
        self.layer3 = nn.Sequential(Block(32, 64, 2))
        self.linear = nn.Linear(64, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        return self.linear(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))


def plain(job: dict) -> nn.Module:
    """The network with the weights that both sides start from."""
    classes, name = job["classes"], job["model"]
    if name == "chapter":
        model = nn.Sequential(
            nn.Conv2d(3, 64, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2, 2), nn.Flatten(),
            nn.Linear(64 * 32 * 32, 1000), nn.ReLU(), nn.Linear(1000, classes),
        )
    elif name == "resnet8-64":
        model = ResNet8(classes)
    elif name == "resnet18":
        import torchvision

        model = torchvision.models.resnet18(num_classes=classes)
    elif name == "mobilenet_v2":
        import torchvision

        model = torchvision.models.mobilenet_v2(num_classes=classes, dropout=0.0)
    elif name == "convnext_tiny":
        import torchvision

        model = torchvision.models.convnext_tiny(num_classes=classes, stochastic_depth_prob=0.0)
    else:
        import timm

        model = timm.create_model(TIMM.get(name, name), num_classes=classes, img_size=job["size"])
    weights = pathlib.Path(job["weights"])
    if weights.suffix == ".safetensors":
        state = load_file(weights)
    else:
        state = torch.load(weights, weights_only=True)
    head = HEADS[name]
    if state[f"{head}.weight"].shape[0] != classes:
        # Pretrained for other classes: the new head is initialised by PyTorch.
        own = model.state_dict()
        state |= {f"{head}.{part}": own[f"{head}.{part}"] for part in ("weight", "bias")}
    # Our safetensors files leave out `num_batches_tracked`, which nothing reads.
    missing, unexpected = model.load_state_dict(state, strict=False)
    wrong = [name for name in missing if not name.endswith("num_batches_tracked")] + list(unexpected)
    if wrong:
        raise SystemExit(f"the weights do not fit: {wrong}")
    return model


def targets(model: nn.Module, name: str, chosen: list[str]) -> list[str]:
    """Names of the layers with an adapter: `chosen`, or those that finetune adapts by default."""
    if chosen and name != "convnext_tiny":
        return chosen

    def wanted(path: str, layer: nn.Module) -> bool:
        if path == HEADS[name]:
            return False
        # Those of ConvNeXt are `fc1` and `fc2`, which have numbers in torchvision.
        if name in ("chapter", "convnext_tiny"):
            return isinstance(layer, nn.Linear)
        if name == "mobilenet_v2":
            return isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1)
        return isinstance(layer, (nn.Conv2d, nn.Linear))
    return [path for path, layer in model.named_modules() if wanted(path, layer)]


def build(job: dict) -> nn.Module:
    model, method = plain(job), job["method"]
    if method == "lora":
        import peft

        config = peft.LoraConfig(
            r=job["rank"], lora_alpha=job["alpha"],
            target_modules=targets(model, job["model"], job["targets"]),
            modules_to_save=[HEADS[job["model"]]],
        )
        return peft.get_peft_model(model, config)
    if method == "linear":
        for name, parameter in model.named_parameters():
            parameter.requires_grad = name.startswith(HEADS[job["model"]] + ".")
    return model


def layout(job: dict) -> torch.memory_format:
    return torch.channels_last if job["variant"].startswith("channels_last") else torch.contiguous_format


def prepared(job: dict) -> tuple[nn.Module, nn.Module, torch.optim.Optimizer]:
    """The model, what is called in its place, and its optimiser."""
    model = build(job).to(memory_format=layout(job))
    optimizer = torch.optim.Adam(trained(model), lr=job["learning_rate"], fused=True)
    compiled = torch.compile(model) if job["variant"].endswith("compiled") else model
    return model, compiled, optimizer


def precision(job: dict):
    """The context of the forward pass; also sets the precision of products outside of autocast."""
    if job["variant"].endswith("medium"):
        torch.set_float32_matmul_precision("medium")
        # Convolutions have a setting of their own.
        torch.backends.mkldnn.conv.fp32_precision = "bf16"
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=job["variant"].endswith("autocast"))


def to_train(model: nn.Module, method: str) -> None:
    model.train()
    if method != "sft":
        # Running statistics of a frozen base do not change.
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()


def trained(model: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def result(model: nn.Module, rest: int, **measured) -> dict:
    count = sum(parameter.numel() for parameter in trained(model))
    return {
        **measured, "trainable": count, "peak_bytes": memory("VmHWM"), "rest_bytes": rest,
        "versions": {"python": sys.version.split()[0], "torch": torch.__version__} | {
            name: sys.modules[name].__version__
            for name in ("torchvision", "timm", "peft") if name in sys.modules
        },
    }


def steps(job: dict) -> dict:
    """Measures training steps on batches of decoded images."""
    size, order = job["size"], job["order"]
    rest = memory("VmRSS")
    pixels = torch.from_numpy(numpy.fromfile(job["pixels"], dtype=numpy.uint8))
    pixels = pixels.reshape(-1, size, size, 3).permute(0, 3, 1, 2)
    labels = torch.tensor(job["labels"])
    mean, std = (torch.tensor(job[name]).reshape(1, 3, 1, 1) for name in ("mean", "std"))
    model, called, optimizer = prepared(job)
    to_train(model, job["method"])
    losses, seconds, halved = [], [], precision(job)
    for step in range(job["steps"]):
        start = time.perf_counter()
        index = torch.tensor(order[step * job["batch"]:(step + 1) * job["batch"]])
        x = (pixels[index].float() / 255 - mean) / std
        x = x.contiguous(memory_format=layout(job))
        with halved:
            output = called(x)
        loss = nn.functional.cross_entropy(output.float(), labels[index])
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    return result(model, rest, step_seconds=seconds, losses=losses)


def images(folder: pathlib.Path, job: dict):
    from PIL import Image
    from torchvision import transforms

    how = transforms.Compose([
        transforms.Resize(int(job["size"] / job["crop"] + 1e-4)), transforms.CenterCrop(job["size"]),
        transforms.ToTensor(), transforms.Normalize(job["mean"], job["std"]),
    ])
    paths = [(p, i) for i, c in enumerate(sorted(folder.iterdir())) for p in sorted(c.iterdir())]
    x = torch.stack([how(Image.open(p).convert("RGB")) for p, _ in paths])
    return x, torch.tensor([i for _, i in paths])


def whole(job: dict) -> dict:
    """Measures a whole run: images, training and test."""
    rest = memory("VmRSS")
    torch.manual_seed(job["seed"])
    data = pathlib.Path(job["data"])
    x, y = images(data / "train", job)
    test_x, test_y = images(data / "test", job)
    x, test_x = (images.contiguous(memory_format=layout(job)) for images in (x, test_x))
    model, called, optimizer = prepared(job)
    start = time.monotonic()
    total = -(-len(y) // job["batch"]) * job["epochs"]
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=job["learning_rate"], total_steps=total)
    seconds, halved = [], precision(job)
    for _ in range(job["epochs"]):
        to_train(model, job["method"])
        for index in torch.randperm(len(y)).split(job["batch"]):
            step = time.perf_counter()
            with halved:
                output = called(x[index])
            loss = nn.functional.cross_entropy(output.float(), y[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            seconds.append(time.perf_counter() - step)
    train_seconds = time.monotonic() - start
    model.eval()
    with torch.no_grad(), halved:
        predicted = torch.cat([model(part).argmax(1) for part in test_x.split(job["batch"])])
    accuracy = (predicted == test_y).double().mean().item()
    return result(
        model, rest, train_seconds=train_seconds, accuracy=accuracy,
        step_seconds=[statistics.median(seconds)], losses=[], whole_seconds=time.monotonic() - START,
    )


def main() -> None:
    job = json.load(sys.stdin)
    torch.set_num_threads(job["threads"])
    torch.manual_seed(job["seed"])
    print(json.dumps({"step": steps, "run": whole}[job["kind"]](job)))


if __name__ == "__main__":
    main()

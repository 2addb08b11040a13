"""Residual networks for small images."""

import logits as small

CLASSES = 7


def models():
    build = lambda n: lambda: small.ResNet(n, 1, CLASSES)
    return {f"resnet{6 * n + 2}": (build(n), (4, 33, 47)) for n in (3, 5, 7, 9)}

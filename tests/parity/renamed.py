"""A model under other names: those of a library that is not installed."""

from torch import nn


class Renamed(nn.Module):
    """`model` with the names that `name` makes of its own, and the shapes that `shape` gives for a new
    name and the model's tensor."""

    def __init__(self, model, name, shape=lambda name, tensor: tensor.shape):
        super().__init__()
        self.model = model
        self.name = name
        self.shape = shape

    def forward(self, x):
        return self.model(x)

    def state_dict(self):
        renamed = {self.name(name): tensor for name, tensor in self.model.state_dict().items()}
        return {name: tensor.reshape(self.shape(name, tensor)) for name, tensor in renamed.items()}

    def load_state_dict(self, state):
        own = self.model.state_dict().items()
        self.model.load_state_dict(
            {name: state[self.name(name)].reshape(tensor.shape) for name, tensor in own}
        )

    def named_parameters(self, *args, **kwargs):
        own = self.model.named_parameters(*args, **kwargs)
        return ((self.name(name), parameter) for name, parameter in own)

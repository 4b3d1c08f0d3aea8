"""The published training step in PyTorch: the baseline of `train_step`.

Written for this benchmark from the paper and from a description of the
released code, not copied from it: its image network (six stages of two blocks,
768 global features), BERT-base with its pooler, each pair of the batch built
on its own by a loop that grows a matrix, the critic (1024, 512), Adam for
image network and critic, and AdamW without bias correction for BERT, one
parameter after another. Texts are padded to a fixed length.
"""

import itertools
import math
from collections.abc import Iterable

import torch
from torch import nn
from torch.nn import functional

FILTERS = (8, 16, 32, 64, 128, 192)
HIDDEN = (1024, 512)
FEATURES = 768
DROPOUT = 0.1


class Block(nn.Module):
    """A basic residual block of stride 2 or 1."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False),
                nn.BatchNorm2d(outputs),
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(B, C, H, W)` to half its size or the same."""
        y = torch.relu(self.first_norm(self.first(x)))
        return torch.relu(self.second_norm(self.second(y)) + self.shortcut(x))


class ImageNetwork(nn.Module):
    """`(B, 1, 256, 256)` to `(B, 768)`."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, FILTERS[0], 3, 1, 1, bias=False)
        self.stem_norm = nn.BatchNorm2d(FILTERS[0])
        blocks, inputs = [], FILTERS[0]
        for outputs in FILTERS:
            blocks += [Block(inputs, outputs, 2), Block(outputs, outputs, 1)]
            inputs = outputs
        self.blocks = nn.Sequential(*blocks)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The global feature: the last map, pooled by two, as one row."""
        x = torch.relu(self.stem_norm(self.stem(images)))
        return functional.avg_pool2d(self.blocks(x), 2).flatten(1)


class Attention(nn.Module):
    """Self-attention of BERT with its residual connection."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.output = nn.Linear(dim, dim)
        self.norm = nn.LayerNorm(dim, eps=1e-12)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """`(B, L, D)`; `mask` is added to the scores."""
        query, key, value = (
            self._split(layer(x))
            for layer in (self.query, self.key, self.value)
        )
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        weights = self.dropout(torch.softmax(scores + mask, dim=-1))
        mixed = (weights @ value).transpose(1, 2).reshape(x.shape)
        return self.norm(self.dropout(self.output(mixed)) + x)

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, dim = x.shape
        x = x.view(batch, length, self.heads, dim // self.heads)
        return x.transpose(1, 2)


class Layer(nn.Module):
    """Attention and the feed-forward part, with GELU by the error function."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.attention = Attention(dim, heads)
        self.inner = nn.Linear(dim, 4 * dim)
        self.outer = nn.Linear(4 * dim, dim)
        self.norm = nn.LayerNorm(dim, eps=1e-12)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """`(B, L, D)` to the same."""
        x = self.attention(x, mask)
        y = self.inner(x)
        y = y * 0.5 * (1.0 + torch.erf(y / math.sqrt(2.0)))
        return self.norm(self.dropout(self.outer(y)) + x)


class Bert(nn.Module):
    """Token ids and mask `(B, L)` to the pooled feature `(B, 768)`."""

    def __init__(
        self, vocabulary: int, layers: int, dim: int = 768, heads: int = 12
    ) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, dim)
        self.positions = nn.Embedding(512, dim)
        self.segments = nn.Embedding(2, dim)
        self.norm = nn.LayerNorm(dim, eps=1e-12)
        self.layers = nn.ModuleList(Layer(dim, heads) for _ in range(layers))
        self.pooler = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(DROPOUT)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The tanh pooler over [CLS], with dropout."""
        places = torch.arange(ids.shape[1], device=ids.device)
        x = self.tokens(ids) + self.positions(places)
        x = self.dropout(self.norm(x + self.segments(torch.zeros_like(ids))))
        added = (1.0 - mask[:, None, None, :].to(x.dtype)) * -10000.0
        for layer in self.layers:
            x = layer(x, added)
        return self.dropout(torch.tanh(self.pooler(x[:, 0])))


def build_pairs(
    images: torch.Tensor, texts: torch.Tensor, study_ids: list[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Matched rows `(B, D)` and negative rows `(n, D)`, pair by pair.

    Each negative is added to a matrix that is copied for it, as in the
    released code; pairs of one study are left out.
    """
    positives = torch.cat([images, texts], dim=1)
    negatives = positives[:0]
    for i, study in enumerate(study_ids):
        for j, other in enumerate(study_ids):
            if study != other:
                pair = torch.cat([images[i : i + 1], texts[j : j + 1]], dim=1)
                negatives = torch.cat([negatives, pair], dim=0)
    return positives, negatives


def bound_loss(
    positives: torch.Tensor, negatives: torch.Tensor
) -> torch.Tensor:
    """Minus Eq. 3: one log-mean-exp over all negative scores."""
    shuffled = torch.logsumexp(negatives.flatten(), 0)
    return shuffled - math.log(negatives.numel()) - positives.mean()


class AdamW:
    """The update of pytorch_transformers: no bias correction, in a loop.

    Vectors (biases, layer normalisation) are not decayed.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        rate: float = 2e-5,
        decay: float = 0.1,
    ) -> None:
        self.parameters = list(parameters)
        self.rate, self.decay = rate, decay
        self.moments = [
            (torch.zeros_like(p), torch.zeros_like(p)) for p in self.parameters
        ]

    @torch.no_grad()
    def step(self) -> None:
        """Updates and forgets the gradients."""
        for parameter, (mean, square) in zip(
            self.parameters, self.moments, strict=True
        ):
            if parameter.grad is None:
                continue
            mean.mul_(0.9).add_(parameter.grad, alpha=0.1)
            square.mul_(0.999).addcmul_(
                parameter.grad, parameter.grad, value=0.001
            )
            parameter.addcdiv_(mean, square.sqrt().add_(1e-6), value=-self.rate)
            if self.decay and parameter.ndim > 1:
                parameter.add_(parameter, alpha=-self.rate * self.decay)
            parameter.grad = None


class Step:
    """One training step on a fixed batch.

    Args:
        batch: images of the batch.
        tokens: length of the texts.
        layers: of BERT.
        vocabulary: word pieces.
        size: side of the images in pixels.
        device: `"cpu"` or `"cuda"`.
    """

    def __init__(
        self,
        batch: int,
        tokens: int,
        layers: int = 12,
        vocabulary: int = 28996,
        size: int = 256,
        device: str = "cpu",
    ) -> None:
        torch.manual_seed(0)
        self.device = device
        self.images = torch.rand(batch, 1, size, size, device=device)
        self.ids = torch.randint(5, vocabulary, (batch, tokens), device=device)
        self.mask = torch.ones_like(self.ids)
        self.study_ids = list(range(batch))
        self.image_network = ImageNetwork().to(device)
        self.bert = Bert(vocabulary, layers).to(device)
        widths = (2 * FEATURES, *HIDDEN)
        dense = [
            part
            for one, two in itertools.pairwise(widths)
            for part in (nn.Linear(one, two), nn.ReLU())
        ]
        self.critic = nn.Sequential(*dense, nn.Linear(HIDDEN[-1], 1)).to(device)
        self.adams = [
            torch.optim.Adam(part.parameters(), 5e-4)
            for part in (self.image_network, self.critic)
        ]
        self.adam_w = AdamW(self.bert.parameters())

    def __call__(self) -> dict[str, float]:
        """Forward, backward, update; returns the loss."""
        images = self.image_network(self.images)
        texts = self.bert(self.ids, self.mask)
        positives, negatives = build_pairs(images, texts, self.study_ids)
        loss = bound_loss(self.critic(positives), self.critic(negatives))
        loss.backward()
        for adam in self.adams:
            adam.step()
            adam.zero_grad()
        self.adam_w.step()
        if self.device != "cpu":
            torch.cuda.synchronize()
        return {"loss": float(loss.detach())}

"""Losses, predicted classes and probabilities of logits, for all members of a stack at once."""

import torch
import torch.nn.functional as F


def losses(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Loss of each image and member: logits [B, M, C] and class numbers [B] to [B, M].

    One logit (C = 1) means binary cross-entropy for class 1 of two; otherwise it is cross-entropy.
    """
    members = labels[:, None].expand(-1, logits.shape[1])
    if logits.shape[2] == 1:
        return F.binary_cross_entropy_with_logits(logits[..., 0], members.to(logits.dtype), reduction="none")
    return F.cross_entropy(logits.transpose(1, 2), members, reduction="none")


def predicted(logits: torch.Tensor) -> torch.Tensor:
    """Class numbers [B, M] of logits [B, M, C]."""
    return (logits[..., 0] > 0).long() if logits.shape[2] == 1 else logits.argmax(2)


def probabilities(logits: torch.Tensor) -> torch.Tensor:
    """float32 probabilities [B, M, classes] of logits [B, M, C]; one logit gives two classes."""
    logits = logits.float()
    if logits.shape[2] == 1:
        return torch.cat([(-logits).sigmoid(), logits.sigmoid()], 2)
    return logits.softmax(2)

"""Train the image anchor from nothing on made pictures: ``python -m atoll.benchmarks.anchor.images --help``.

Letters, silhouettes and strokes under distortion, several hundred classes; no picture of any data set goes in. The
classes are told apart by two matrices that are thrown away afterwards, one on what the stem says and one on what the
blocks make of it, by cosines, so that both are spread over directions. The folder that is written is an anchor with a
``recipe.json`` beside it: classes, steps, and figures on signs that were not trained on.
"""

import argparse
import json
import math
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from atoll.anchors import Anchor
from atoll.anchors.classifier import ClassifierArchitecture, ClassifierModel, ImagesForm, save_classifier_anchor
from atoll.benchmarks.anchor.pictures import Pictures, distorted, held_out_letters, made_classes

FORM = ClassifierArchitecture(hidden_size=128, layers=2, intermediate_size=192, classes=100, stem=ImagesForm())
_RATE, _WARMUP, _SCALE = 2e-3, 200, 16.0


def main() -> None:
    """Draw, train, measure on other signs, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the anchor")
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--batch", type=int, default=96, help="pictures a step")
    parser.add_argument("--shapes", type=int, default=120, help="silhouettes, and as many strokes")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    model = ClassifierModel(FORM)
    pictures = made_classes(args.seed, args.shapes, variants=12)
    began = time.monotonic()
    _train(model, pictures, args)
    seconds = time.monotonic() - began
    save_classifier_anchor(model, args.out)
    recipe = {
        "classes": pictures.classes,
        "steps": args.steps,
        "batch": args.batch,
        "seed": args.seed,
        "parameters": sum(p.numel() for p in model.parameters()),
        "seconds": round(seconds),
        "held_out": held_out(Anchor.open(args.out)),
        "torch": torch.__version__,
    }
    (args.out / "recipe.json").write_text(json.dumps(recipe, indent=2) + "\n")
    print(json.dumps(recipe, indent=2))


def held_out(anchor: Anchor, shots: int = 10, asked: int = 40) -> dict[str, float]:
    """Accuracy of the nearest class mean on signs that were not trained on, of the stem's vectors and of raw pixels.

    Args:
        anchor: The anchor.
        shots: Distorted pictures that a class's mean is made of.
        asked: Distorted pictures of each class that are told apart.
    """
    rng = torch.Generator().manual_seed(1)
    signs = held_out_letters()
    fonts = len(signs.labels) // signs.classes

    def drawn(count: int) -> tuple[Tensor, Tensor]:
        chosen = torch.arange(signs.classes).repeat_interleave(count)
        font = torch.randint(fonts, (len(chosen),), generator=rng)
        return distorted(signs.canvases[chosen * fonts + font], 28, 28, rng), chosen

    (known, known_labels), (new, new_labels) = drawn(shots), drawn(asked)
    stem = anchor.model().get_submodule("stem")
    with torch.no_grad():
        return {
            "signs": float(signs.classes),
            "stem": nearest_mean(stem(known), known_labels, stem(new), new_labels),
            "pixels": nearest_mean(known.flatten(1), known_labels, new.flatten(1), new_labels),
        }


def nearest_mean(known: Tensor, known_labels: Tensor, new: Tensor, new_labels: Tensor) -> float:
    """Share of new vectors [N, D] whose nearest class mean, by cosine, is that of their class."""
    classes = int(known_labels.max()) + 1
    means = torch.stack([known[known_labels == label].mean(0) for label in range(classes)])
    scores = functional.normalize(new, dim=1) @ functional.normalize(means, dim=1).T
    return float((scores.argmax(1) == new_labels).float().mean())


def _train(model: ClassifierModel, pictures: Pictures, args: argparse.Namespace) -> None:
    heads = nn.ParameterList(torch.randn(pictures.classes, FORM.hidden_size) for _ in range(2))
    parameters = [*model.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, weight_decay=0.02)
    rng = torch.Generator().manual_seed(args.seed)
    average, began = math.nan, time.monotonic()
    for step in range(args.steps):
        chosen = torch.randint(len(pictures.labels), (args.batch,), generator=rng)
        features = model.stem(distorted(pictures.canvases[chosen], 28, 28, rng))
        outputs = (features, model.model(features[:, None])[:, 0])
        losses = [_loss(x, w, pictures.labels[chosen]) for x, w in zip(outputs, heads, strict=True)]
        loss = losses[0] + losses[1]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = _RATE * min((step + 1) / _WARMUP, 0.5 * (1 + math.cos(math.pi * step / args.steps)))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        average = loss.item() if math.isnan(average) else 0.99 * average + 0.01 * loss.item()
        if (step + 1) % 200 == 0:
            rate = (time.monotonic() - began) / (step + 1)
            print(f"step {step + 1} loss {average:.3f} {rate:.3f} s a step", flush=True)
            save_classifier_anchor(model, args.out)  # something to look at while it runs


def _loss(x: Tensor, rows: Tensor, labels: Tensor) -> Tensor:
    cosines = functional.normalize(x, dim=1) @ functional.normalize(rows, dim=1).T
    return functional.cross_entropy(_SCALE * cosines, labels)


if __name__ == "__main__":
    main()

"""The command about models that are not shipped: models (list), models get NAME."""

import argparse

from lipsync.cli.run import Outcome
from lipsync.progress import Progress
from lipsync.speech.hub import KNOWN, fetch, has_model, hub_address, model_folder, models_folder


def models(args: argparse.Namespace, progress: Progress) -> Outcome:
    """`lipsync models [get NAME]`."""
    if args.action == "get":
        folder = fetch(args.name, progress)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        card = KNOWN[args.name]
        values = {"name": args.name, "folder": str(folder), "bytes": size, "from": f"{hub_address()}/{card.repo}"}
        return Outcome(values, f"{args.name}: {size / 1e6:.1f} MB from {card.repo} ({card.licence}); {folder}")
    rows = [
        {
            "name": card.name,
            "for": card.task,
            "size_mb": card.size_mb,
            "licence": card.licence,
            "from": card.repo,
            "folder": str(model_folder(card.name, card.task)) if has_model(card.name) else None,
        }
        for card in KNOWN.values()
    ]
    lines = [
        f"{row['name']}: {row['for']}, about {row['size_mb']} MB, {row['licence']}; "
        f"{row['folder'] or 'not here: lipsync models get ' + str(row['name'])}"
        for row in rows
    ]
    return Outcome({"folder": str(models_folder()), "models": rows}, "\n".join(lines))

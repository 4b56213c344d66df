"""`fit-manifold`: train the VAE on the pool and place every pool slice in its latent space."""

from __future__ import annotations

import uuid
from dataclasses import replace

import numpy as np

from SuggestiveAnnotationLib.engine.settings import ManifoldOptions
from SuggestiveAnnotationLib.models.checkpoint import save_checkpoint
from SuggestiveAnnotationLib.progress import CancelToken, ProgressCallback, ProgressEvent, no_progress, spoken
from SuggestiveAnnotationLib.study.provenance import data_hash
from SuggestiveAnnotationLib.study.records import Model
from SuggestiveAnnotationLib.study.study import Study
from SuggestiveAnnotationLib.training.data import NetworkSlices
from SuggestiveAnnotationLib.training.device import describe_device, halve_on_out_of_memory, pick_device
from SuggestiveAnnotationLib.training.manifold import FittedManifold, ManifoldSettings, encode_images
from SuggestiveAnnotationLib.training.manifold import fit_manifold as train_vae


def fit_manifold(
    study: Study,
    *,
    options: ManifoldOptions,
    seed: int = 0,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
) -> Model:
    """Train a VAE, or an ensemble, on the images of pool cases only, and publish it with the latents of every pool slice.

    Blank slices are not trained on; they get latents, so that indices stay those of the pool. Where memory runs out, fewer slices make
    a step; the model's card says how many.

    Raises:
        StudyError: not prepared, no pool slice, or training diverged.
        Cancelled: nothing is published.
    """
    record = study.record
    refs = study.pool_refs()
    device = pick_device(options.device)
    blank = np.array([study.slices(ref.case).blank[ref.native_index] for ref in refs], bool)
    shown = [ref for ref, empty in zip(refs, blank, strict=True) if not empty]
    own = min(options.manifold_pixels, *record.size)
    settings = ManifoldSettings(
        latent_size=options.latent_size,
        size=options.manifold_network,
        input_size=(own, own),
        steps=options.manifold_steps,
        batch_size=options.manifold_batch,
        learning_rate=options.manifold_rate,
        members=options.manifold_members,
        seed=seed,
    )
    images = NetworkSlices(study, shown, device=device)

    def fit(batch: int) -> FittedManifold:
        return train_vae(images, settings=replace(settings, batch_size=batch), progress=progress, cancel=cancel)

    say = spoken("fit manifold", options.manifold_members * options.manifold_steps, progress)
    fitted, batch = halve_on_out_of_memory(fit, options.manifold_batch, smallest=2, say=say)
    settings = replace(settings, batch_size=batch)
    latents = np.empty((len(refs), fitted.latents.shape[1]), np.float32)
    latents[~blank] = fitted.latents
    empties = NetworkSlices(study, [ref for ref, empty in zip(refs, blank, strict=True) if empty], device=device)
    latents[blank] = encode_images(fitted.model, empties, batch_size=batch, cancel=cancel)
    stem = study.path / "models" / f"manifold-{uuid.uuid4().hex[:12]}"
    card = save_checkpoint(
        stem.with_suffix(".safetensors"),
        fitted.model,
        {
            "kind": "manifold",
            "record_key": record.key,
            "data_hash": data_hash(study),
            "seed": seed,
            "settings": settings.to_json(),
            "device": describe_device(device),
            "slices": len(shown),
            "metrics": {"active_units": fitted.active_units, "seconds": round(fitted.seconds, 2)},
            "losses": [[step, round(a, 4), round(b, 4)] for step, a, b in fitted.losses],
        },
    )
    study.save_latents(stem.with_suffix(".npz"), refs, latents)
    weights, places = stem.with_suffix(".safetensors"), stem.with_suffix(".npz")
    model = study.publish_model("manifold", path=weights, latents=places, card=card, record_key=record.key, round_number=None)
    if idle := idle_units(model):
        progress(ProgressEvent("fit manifold", 1, 1, message=idle))
    return model


def idle_units(model: Model) -> str:
    """One sentence where dimensions of a manifold are the same for all slices (`training.manifold.active_units`); "" where none is."""
    settings, active = model.card.get("settings", {}), model.card.get("metrics", {}).get("active_units")
    size = settings.get("latent_size", 0) * settings.get("members", 1)
    if active is None or active >= size:
        return ""
    if active == 0:
        return (
            "The manifold has collapsed: all slices lie at the same place, so what a strategy suggests by their places is chance. "
            "Fit it again with more steps or another seed."
        )
    return (
        f"Only {active} of the manifold's {size} dimensions tell slices apart. That may be all there is to tell; if in doubt, fit it again "
        "with more steps."
    )

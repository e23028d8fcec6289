"""Adapters: the golden one of the first day, switching, blending, merging, refusing."""

import dataclasses
import shutil
import time

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from lipsync.consent import Consent
from lipsync.errors import CheckpointError, ConsentError
from lipsync.model.base import load_base
from lipsync.model.lora import (
    apply_adapter,
    apply_adapters,
    blend_adapters,
    find_base_of,
    load_adapter,
    merge_adapter,
    save_adapter,
)
from lipsync.model.low_rank import add_low_rank, changed_copy, low_rank_tensors
from tests import golden_adapter
from tests.golden_adapter import FOLDER, outputs

FILE = FOLDER / "person.safetensors"


@pytest.fixture
def checkpoints(tmp_path, monkeypatch):
    shutil.copytree(FOLDER, tmp_path / "checkpoints")
    monkeypatch.setenv("LIPSYNC_CHECKPOINTS", str(tmp_path / "checkpoints"))
    return tmp_path / "checkpoints"


@pytest.fixture
def base(checkpoints):
    return load_base("base")


@pytest.fixture
def adapter():
    return load_adapter(FILE)


def close(a, b, atol=1e-6):
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=0, atol=atol, msg=name)


def other(adapter, seed=1, subject="Second Person"):
    generator = torch.Generator().manual_seed(seed)
    pixel = {k: v + 0.1 * torch.randn(v.shape, generator=generator) for k, v in adapter.pixel.items()}
    consent = Consent(subject, "the tests", "2026-01-31", "I agree.")
    notes = {"person": subject, "consent": consent.to_json(), "consent_digest": consent.digest}
    return dataclasses.replace(adapter, pixel=pixel, style=-adapter.style, notes=adapter.notes | notes)


def test_the_golden_adapter_still_loads_and_says_the_same(base, adapter):
    found, wanted = outputs(apply_adapter(base, adapter)), load_file(FOLDER / "outputs.safetensors")
    close(found, wanted)
    plain = outputs(load_base("base"))
    assert all((plain[name] - wanted[name]).abs().max() > 1e-3 for name in wanted)


def test_a_low_rank_change_is_what_its_definition_says():
    torch.manual_seed(0)
    layer = nn.Sequential(nn.Conv2d(3, 5, 3), nn.Linear(4, 6))
    x = torch.randn(2, 3, 6, 6), torch.randn(2, 4)
    changed = add_low_rank(layer, ("0", "1"), 2, 8.0, seed=4)
    learned = {n for n, p in changed.named_parameters() if p.requires_grad}
    assert len(learned) == 4 and all("lora_" in name for name in learned)
    for k in (0, 1):
        torch.testing.assert_close(changed[k](x[k]), layer[k](x[k]))  # B starts at zero
    with torch.no_grad():
        for name, p in changed.named_parameters():
            if "lora_B" in name:
                p.normal_()
    tensors = low_rank_tensors(changed)
    delta = 8.0 / 2**0.5 * tensors["0.b"] @ tensors["0.a"]
    copy = changed_copy(layer, [(tensors, 1.0)], 8.0)
    torch.testing.assert_close(copy[0].weight, layer[0].weight + delta.view(5, 3, 3, 3))
    for k in (0, 1):
        torch.testing.assert_close(copy[k](x[k]), changed[k](x[k]))
    assert copy[0].bias is layer[0].bias  # what is not changed is shared
    with pytest.raises(CheckpointError, match="no layer"):
        add_low_rank(layer, ("nothing",), 2, 8.0)


def test_dilated_convolutions_are_learned_as_they_are_added():
    torch.manual_seed(0)
    layer = nn.Sequential(nn.Conv1d(4, 6, 3, padding=4, dilation=4))
    x = torch.randn(2, 4, 30)
    changed = add_low_rank(layer, ("0",), 2, 8.0)
    with torch.no_grad():
        for name, p in changed.named_parameters():
            if "lora_B" in name:
                p.normal_()
    copy = changed_copy(layer, [(low_rank_tensors(changed), 1.0)], 8.0)
    torch.testing.assert_close(copy(x), changed(x))
    assert float((copy(x) - layer(x)).abs().max().detach()) > 0.1


def test_the_base_stays_as_it_is_and_is_shared(base, adapter):
    before = {k: v.clone() for k, v in base.pixel.state_dict().items()}
    person = apply_adapter(base, adapter)
    for name, value in base.pixel.state_dict().items():
        assert torch.equal(value, before[name]), name
    own = {id(p) for p in base.pixel.parameters()}
    shared = [id(p) in own for p in person.pixel.parameters()]
    changed = len(adapter.pixel) // 2
    assert shared.count(False) == changed


def test_loading_and_switching_take_milliseconds(base, adapter):
    start = time.process_time()
    for _ in range(5):
        apply_adapter(base, load_adapter(FILE))
    assert (time.process_time() - start) / 5 < 0.5  # some 20 ms here; generous for slow machines


def test_weights_between_base_and_person(base, adapter):
    plain, whole = outputs(load_base("base")), outputs(apply_adapter(load_base("base"), adapter))
    none = outputs(apply_adapters(load_base("base"), [(adapter, 0.0)]))
    half = apply_adapters(load_base("base"), [(adapter, 0.5)])
    close(none, plain, 1e-6)
    layer = "decoder.head.weight"
    middle = (base.pixel.state_dict()[layer] + apply_adapter(base, adapter).pixel.state_dict()[layer]) / 2
    torch.testing.assert_close(half.pixel.state_dict()[layer], middle)
    torch.testing.assert_close(half.style, 0.5 * adapter.style)
    assert not torch.equal(whole["pixel"], plain["pixel"])


def test_a_blend_does_what_both_do_at_once_and_keeps_both_consents(base, adapter, tmp_path):
    second = other(adapter)
    together = outputs(apply_adapters(load_base("base"), [(adapter, 0.7), (second, 0.3)]))
    save_adapter(tmp_path / "both.safetensors", blend_adapters([(adapter, 0.7), (second, 0.3)]))
    blended = load_adapter(tmp_path / "both.safetensors")
    assert blended.person == "0.7 × Golden Person + 0.3 × Second Person"
    close(outputs(apply_adapter(load_base("base"), blended)), together, 1e-5)
    rows = [dict(row) for row in blended.notes["blend_of"]]
    rows[1]["consent"] = None
    with pytest.raises(ConsentError, match="no consent record"):
        apply_adapter(base, dataclasses.replace(blended, notes=blended.notes | {"blend_of": rows}))


def test_detail_is_added_to_what_the_base_has_and_travels(base, adapter, tmp_path):
    save_adapter(tmp_path / "own.safetensors", dataclasses.replace(adapter, detail=0.2))
    own, second = load_adapter(tmp_path / "own.safetensors"), dataclasses.replace(other(adapter), detail=-0.1)
    base.pixel.config = dataclasses.replace(base.pixel.config, detail=0.3)
    both = [(own, 0.5), (second, 0.5)]
    for weighted, wanted in (
        ([(adapter, 1.0)], 0.3),  # of the first day: it knows nothing of detail
        ([(own, 1.0)], 0.5),
        (both, 0.35),
        ([(blend_adapters(both), 1.0)], 0.35),
        ([(second, 4.0)], 0.0),
    ):
        assert apply_adapters(base, weighted).pixel.config.detail == pytest.approx(wanted)
    merge_adapter(base, own, "sharp")
    assert load_base("sharp").pixel.config.detail == pytest.approx(0.5)
    assert base.pixel.config.detail == 0.3


def test_merged_into_a_base_it_says_the_same_without_an_adapter(base, adapter, checkpoints):
    wanted = outputs(apply_adapter(load_base("base"), adapter))
    folder = merge_adapter(base, adapter, "golden-person")
    assert folder == checkpoints / "golden-person"
    merged = load_base("golden-person")
    assert merged.style is None
    close(outputs(merged), wanted, 1e-5)
    with pytest.raises(CheckpointError, match="there already"):
        merge_adapter(base, adapter, "golden-person")


def test_another_base_is_refused_and_the_right_one_found_by_its_hash(base, adapter, checkpoints):
    assert find_base_of(adapter) == "base"
    (checkpoints / "base").rename(checkpoints / "renamed")
    assert find_base_of(adapter) == "renamed"
    with pytest.raises(CheckpointError, match="another base"):
        apply_adapter(dataclasses.replace(base, hash="1" * 64), adapter)
    changed = dataclasses.replace(adapter, notes=adapter.notes | {"base_hash": "2" * 64})
    with pytest.raises(CheckpointError, match=r"made for the base 'base' \(222222222222\), which is not here.*renamed"):
        find_base_of(changed)
    with pytest.raises(CheckpointError, match="2 different bases"):
        blend_adapters([(adapter, 0.5), (changed, 0.5)])


def test_without_consent_or_with_another_record_nothing_is_applied(base, adapter):
    def with_notes(**notes):
        return dataclasses.replace(adapter, notes=adapter.notes | notes)

    with pytest.raises(ConsentError, match="no consent record"):
        apply_adapter(base, with_notes(consent=None))
    with pytest.raises(ConsentError, match="was changed after"):
        apply_adapter(base, with_notes(consent=adapter.notes["consent"] | {"covers": ["video", "voice"]}))
    voice = dataclasses.replace(golden_adapter.CONSENT, covers=("voice",))
    with pytest.raises(ConsentError, match="not video"):
        apply_adapter(base, with_notes(consent=voice.to_json(), consent_digest=voice.digest))


def test_weights_that_do_not_fit_are_named(base, adapter):
    name = next(iter(adapter.pixel))[:-2]
    broken = {**adapter.pixel, f"{name}.b": torch.zeros(3, 4)}
    with pytest.raises(CheckpointError, match=f"layer '{name}' is of another shape"):
        apply_adapter(base, dataclasses.replace(adapter, pixel=broken))
    lost = {**adapter.pixel, "nowhere.a": torch.zeros(4, 3), "nowhere.b": torch.zeros(3, 4)}
    with pytest.raises(CheckpointError, match="layer 'nowhere' is missing"):
        apply_adapter(base, dataclasses.replace(adapter, pixel=lost))


def test_a_file_that_is_no_adapter_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="not an adapter"):
        load_adapter(FOLDER / "base" / "pixel.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(FILE.read_bytes()[:900])
    with pytest.raises(CheckpointError, match="cut short"):
        load_adapter(tmp_path / "cut.safetensors")

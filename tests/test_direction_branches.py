"""The two branches: what reaches a token, what does not, and how they are fused."""

import dataclasses

import pytest
import torch
from direction_cases import branch_config, two_branch_config
from emo2.models.checkpoints.format import load_checkpoint, save_checkpoint
from emo2.models.direction.branches import MotionBranch, TwoBranch, build, build_branch
from emo2.models.direction.conditions import FAR, Heard, Told, span_edges
from emo2.models.direction.config import BranchConfig, TwoBranchConfig

N = 9


def told(batch=2, rows=None, keep=True, seed=0):
    g = torch.Generator().manual_seed(seed)
    rows = torch.tensor([0, 0, 0, 1, 1, 1, 1, 0, 0]) if rows is None else torch.tensor(rows)
    mask = torch.ones(batch, 2, 5, dtype=torch.bool)
    mask[:, 0, 3:] = False
    edges = torch.from_numpy(span_edges(rows.numpy())).float()
    return Told(
        torch.randn(batch, 2, 5, 32, generator=g), mask, torch.randn(batch, 2, 32, generator=g),
        rows.expand(batch, -1), edges.expand(batch, -1, -1), torch.full((batch,), keep),
    )  # fmt: skip


def heard(batch=2, seed=0, keep=True, count=N):
    g = torch.Generator().manual_seed(seed)
    return Heard(torch.randn(batch, 8 * count, 2, 6, generator=g), torch.full((batch,), keep))


def codes(batch=2, seed=1, count=N):
    return torch.randint(0, 17, (batch, count), generator=torch.Generator().manual_seed(seed))


def branch(listens="text", seed=0, **changes):
    torch.manual_seed(seed)
    return MotionBranch(branch_config(listens, **changes)).eval().requires_grad_(False)


def two(fusion="layers", seed=0):
    torch.manual_seed(seed)
    return build(two_branch_config(fusion).to_dict()).eval().requires_grad_(False)


def differs(a, b):
    return (a - b).abs().amax(-1) > 1e-5


def test_tiny_branches_are_small_and_eight_layers_deep():
    for listens in ("text", "audio"):
        made = MotionBranch(BranchConfig.tiny(listens))
        assert sum(p.numel() for p in made.parameters()) <= 600_000
        assert len(made.layers) == 8 and made.config.width == 64
        assert made(codes()).shape == (2, N, 512)


def test_padding_of_the_text_and_texts_of_other_rows_change_nothing():
    made, given = branch(), told()
    before = made(codes(), given)
    tokens = given.tokens.clone()
    tokens[:, 0, 3:] += 5.0
    torch.testing.assert_close(made(codes(), dataclasses.replace(given, tokens=tokens)), before)
    tokens = given.tokens.clone()
    tokens[:, 1] += 5.0
    alone = told(rows=[0] * N)
    torch.testing.assert_close(
        made(codes(), alone), made(codes(), dataclasses.replace(alone, tokens=tokens)), atol=1e-6, rtol=1e-5
    )
    assert differs(made(codes(), dataclasses.replace(given, tokens=tokens)), before).any()


def test_a_text_reaches_its_own_tokens_first():
    """One layer deep, a changed text changes the tokens it is for and no others."""
    made, given = branch(layers=1), told()
    tokens = given.tokens.clone()
    tokens[:, 1, 2] += 3.0
    changed = differs(made(codes(), given), made(codes(), dataclasses.replace(given, tokens=tokens)))
    assert changed[:, 3:7].all() and not changed[:, :3].any() and not changed[:, 7:].any()


def test_dropped_conditions_are_the_same_as_none():
    made = branch()
    torch.testing.assert_close(made(codes(), told(keep=False)), made(codes()))
    hearing = branch("audio")
    torch.testing.assert_close(hearing(codes(), heard(keep=False)), hearing(codes()))
    assert differs(made(codes(), told()), made(codes())).all()
    assert differs(hearing(codes(), heard()), hearing(codes())).all()


@pytest.mark.parametrize("listens", ["text", "audio"])
def test_padded_tokens_change_nothing(listens):
    made = branch(listens)
    rows, more = codes(), codes(seed=5)
    valid = torch.arange(N).expand(2, -1) < 6
    if listens == "text":
        long, short = told(rows=[0, 1] * 4 + [1]), told(rows=[0, 1] * 3)
        long = dataclasses.replace(long, edges=torch.cat([short.edges, long.edges[:, 6:]], 1))
    else:
        long = heard()
        short = Heard(long.states[:, :48], long.keep)
    mixed = torch.where(valid, rows, more)
    torch.testing.assert_close(
        made(mixed, long, valid)[:, :6], made(rows[:, :6], short), atol=1e-5, rtol=1e-4
    )  # fmt: skip
    assert differs(made(mixed, long)[:, :6], made(rows[:, :6], short)).any()


def test_sound_finds_its_own_token():
    """One layer and no attention: the aligned sound reaches the tokens around it only."""
    made = branch("audio", layers=1)
    with torch.no_grad():
        made.layers[0].cross.out.weight.zero_()
        made.layers[0].attend.out.weight.zero_()
    given = heard()
    states = given.states.clone()
    states[:, 8 * 8 :, :, :3] += 3.0
    changed = differs(made(codes(), given), made(codes(), Heard(states, given.keep)))
    assert changed[:, 8].all() and not changed[:, :3].any()


def test_edges_tell_where_a_text_begins_and_ends():
    assert span_edges(torch.tensor([0, 2, 2, 2, 1, 0]).numpy()).tolist() == [
        [FAR, FAR], [0, 2], [1, 1], [2, 0], [0, 0], [FAR, FAR],
    ]  # fmt: skip
    made, given = branch(layers=1), told()
    moved = given.edges.clone()
    moved[:, 4] += 2
    changed = differs(made(codes(), given), made(codes(), dataclasses.replace(given, edges=moved)))
    assert changed[:, 4].all()
    far = torch.where(given.edges == FAR, 100.0, given.edges)  # beyond the reach all distances are alike
    torch.testing.assert_close(made(codes(), dataclasses.replace(given, edges=far)), made(codes(), given))


def test_fusion_adds_the_text_branch_where_it_says():
    """Against the sums written out."""
    for fusion, places in (("layers", (0, 1, 2)), ("last", (2,)), ("none", ())):
        made, x = two(fusion), codes()
        texts = branch(seed=9)
        if made.text is not None:
            texts.load_state_dict(made.text.state_dict())
        said = texts.hidden(x, texts.prepare(2, N, told()))
        ready = made.audio.prepare(2, N, heard())
        state = made.audio.embed(x) + ready.added
        for index, layer in enumerate(made.audio.layers):
            state = layer(state, ready, index)
            if index in places:
                state = state + said[index]
        torch.testing.assert_close(made(x, told(), heard()), made.audio.logits(state))
        follows = differs(made(x, told(), heard()), made(x, told(seed=4), heard())).any()
        assert bool(follows) is (fusion != "none")


def test_without_fusion_there_is_no_text_branch():
    assert two("none").text is None and not any(k.startswith("text.") for k in two("none").state_dict())
    with pytest.raises(ValueError, match="needs a text branch"):
        TwoBranch(None, branch("audio"), "layers")


def test_residual_levels_look_down_only():
    made = branch(levels=3)
    state, three = torch.randn(2, N, 32), torch.randint(0, 16, (2, 3, N))
    level = torch.tensor([1, 2])
    before = made.residual(state, three, level)
    higher = three.clone()
    higher[0, 1:], higher[1, 2] = 3, 3
    torch.testing.assert_close(made.residual(state, higher, level), before)
    lower = three.clone()
    lower[1, 1] = (lower[1, 1] + 1) % 16
    assert differs(made.residual(state, lower, level), before)[1].all()


def test_checkpoints_come_back(tmp_path):
    for kind, made, builder in (("text_motion", branch(), build_branch), ("direction", two(), build)):
        path = save_checkpoint(tmp_path / f"{kind}.safetensors", kind, made.config.to_dict(), made.state_dict())
        loaded, _ = load_checkpoint(path, kind, builder)
        torch.testing.assert_close(loaded(codes(), told()), made(codes(), told()))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"listens": "smell"}, "listens"), ({"width": 30}, "heads"), ({"overlap": 16}, "overlap"), ({"rate": 0}, "rate"),
     ({"codes": 0}, "above 0")],
)  # fmt: skip
def test_wrong_configs_are_told(wrong, said):
    with pytest.raises(ValueError, match=said):
        branch_config(**wrong)


def test_branches_must_fit_each_other():
    with pytest.raises(ValueError, match="differ in width"):
        TwoBranchConfig(branch_config("text", width=64), branch_config("audio"))
    with pytest.raises(ValueError, match="fusion"):
        two_branch_config("sideways")


@pytest.mark.parametrize("width", [8, 32])
def test_like_codes_begin_alike(width):
    """Embeddings and outputs begin with the codebooks' geometry, whatever their width; the mask keeps its own."""
    torch.manual_seed(0)
    branch = MotionBranch(branch_config(levels=3))
    mask, books = branch.embed.weight[16].clone(), torch.randn(3, 16, width)
    books[:, 1] = books[:, 0] + 0.01
    branch.begin_with_codes(books)
    assert torch.equal(branch.embed.weight[16], mask)
    further = branch.residual.embed.weight.reshape(2, 16, -1)
    for table in (branch.embed.weight[:16], branch.out.weight, *further):
        apart = torch.cdist(table, table)
        assert apart[0, 1] < 0.05 * apart[0, 2:].min()
    assert branch.embed.weight[:16].std().item() == pytest.approx(0.5, rel=0.3)


def test_each_residual_level_has_outputs_of_its_own():
    torch.manual_seed(0)
    head = MotionBranch(branch_config(levels=3)).residual
    state, codes = torch.randn(2, 5, 32), torch.zeros(2, 3, 5, dtype=torch.long)
    before = [head(state, codes, torch.full((2,), level)) for level in (1, 2)]
    with torch.no_grad():
        head.embed.weight[16:] += torch.randn(16, 32)
        head.bias[1] += 1
    after = [head(state, codes, torch.full((2,), level)) for level in (1, 2)]
    assert torch.equal(before[0], after[0]) and not torch.allclose(before[1], after[1], atol=0.1)

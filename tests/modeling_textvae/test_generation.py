"""Decoding and encoding: seeds, batches, ends, beams, spacing."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from textvae.modeling_textvae import generation
from textvae.modeling_textvae.decoder import END, PAD
from textvae.modeling_textvae.generation import (
    beam_search,
    decode,
    decode_ids,
    decode_latents,
    encode_texts,
    features_of,
    interpolate,
    tidy,
)
from textvae.training.vae.vocabulary import find_joins


@pytest.fixture
def talkative(tiny_model):
    """One of which other latents give other texts."""
    with torch.no_grad():
        tiny_model.decoder.output.weight *= 20.0
        tiny_model.pooler.whole.weight *= 20.0
    return tiny_model


def latents(model, count=6, seed=0):
    return torch.randn(count, model.config.latent_size, generator=torch.Generator().manual_seed(seed)) * 3


def test_a_seed_repeats_what_is_drawn(tiny_model):
    draws = [tiny_model.generate(num_return_sequences=4, generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1])
    assert draws[0].shape != draws[2].shape or not torch.equal(draws[0], draws[2])


def test_rows_that_end_leave_the_batch_and_change_no_other(tiny_model):
    with torch.no_grad():
        tiny_model.decoder.output.weight *= 20.0  # rows differ, and so do their ends
        tiny_model.decoder.bias[END] += 6.0
    memory = tiny_model.read_latents(latents(tiny_model, 8))
    widths = []
    tiny_model.decoder.register_forward_hook(lambda _module, inputs, _out: widths.append(len(inputs[0])))
    together = decode(tiny_model.decoder, memory, 20)
    assert widths[0] == 8
    assert widths[-1] < 8
    for row in range(8):
        alone = decode(tiny_model.decoder, memory.select(torch.tensor([row])), 20)[0]
        assert torch.equal(together[row, : len(alone)], alone)
        assert bool((together[row, len(alone) :] == PAD).all())


def test_one_beam_is_greedy_and_more_beams_find_better_texts(tiny_model):
    with torch.no_grad():
        tiny_model.decoder.output.weight *= 20.0  # otherwise nothing is said at all
        tiny_model.decoder.bias[END] += 2.0
    memory = tiny_model.read_latents(latents(tiny_model))
    greedy = decode(tiny_model.decoder, memory, 12)
    assert torch.equal(beam_search(tiny_model.decoder, memory, 1, 12), greedy)

    def score(tokens):
        inputs = torch.nn.functional.pad(tokens[:, :-1], (1, 0), value=1)
        outputs, _ = tiny_model.decoder(inputs, memory)
        logits = tiny_model.decoder.logits(outputs)
        logits[..., :2] = float("-inf")
        chosen = logits.log_softmax(-1).gather(-1, tokens[..., None])[..., 0]
        real = tokens != PAD
        return chosen.masked_fill(~real, 0.0).sum(1) / real.sum(1)

    gain = score(beam_search(tiny_model.decoder, memory, 4, 12)) - score(greedy)
    assert bool((gain >= -1e-5).all())
    assert bool((gain > 0.01).any())


def test_top_p_draws_from_the_likeliest_alone(tiny_model):
    memory = tiny_model.read_latents(latents(tiny_model))
    narrow = decode(
        tiny_model.decoder, memory, 8, do_sample=True, top_p=1e-9, generator=torch.Generator().manual_seed(0)
    )
    assert torch.equal(narrow, decode(tiny_model.decoder, memory, 8))


@pytest.mark.parametrize("redraws", [0, 1, 4])
def test_top_p_draws_by_what_its_tokens_weigh(monkeypatch, redraws):
    monkeypatch.setattr(generation, "REDRAWS", redraws)
    shares = torch.tensor([[0.1, 0.4, 0.2, 0.3], [0.9, 0.05, 0.03, 0.02]])
    scores = shares.log().repeat_interleave(20_000, dim=0)
    drawn = generation._draw(scores, 0.8, torch.Generator().manual_seed(0)).view(2, -1)
    first, second = (torch.bincount(row, minlength=4) / 20_000 for row in drawn)
    torch.testing.assert_close(first, torch.tensor([0.0, 4, 2, 3]) / 9, atol=0.01, rtol=0)
    assert second.tolist() == [1, 0, 0, 0]


def test_drawing_follows_the_softmax_and_never_what_is_forbidden():
    shares = torch.tensor([0.05, 0.0, 0.6, 0.35, 0.0])
    drawn = generation._draw(shares.log().repeat(50_000, 1), 1.0, torch.Generator().manual_seed(0))
    torch.testing.assert_close(torch.bincount(drawn, minlength=5) / 50_000, shares, atol=0.01, rtol=0)
    assert not (drawn == 1).any()
    assert not (drawn == 4).any()


def test_each_latent_gives_the_sequences_asked_for(tiny_model):
    ids = tiny_model.generate(latents(tiny_model, 3), num_return_sequences=2, do_sample=False)
    assert len(ids) == 6
    assert torch.equal(ids[0], ids[1])


def test_beams_with_drawing_are_refused(tiny_model):
    with pytest.raises(ValueError, match="num_beams > 1 needs do_sample=False"):
        tiny_model.generate(latents(tiny_model), num_beams=2)


def test_encoding_keeps_the_order_of_texts_whatever_the_batches(tiny_model, tiny_tokenizer, sentences):
    whole = encode_texts(tiny_model, sentences, tiny_tokenizer, batch_size=8)
    single = encode_texts(tiny_model, sentences, tiny_tokenizer, batch_size=1)
    torch.testing.assert_close(whole.mean, single.mean, rtol=1e-4, atol=1e-5)
    features = features_of(tiny_model, sentences, tiny_tokenizer, batch_size=3)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(len(sentences)))
    torch.testing.assert_close(
        features[2:3], features_of(tiny_model, sentences[2:3], tiny_tokenizer), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("texts", [[], [""], ["fine", "  "], ["fine", None], "fine"])
def test_texts_that_cannot_be_encoded_are_named(tiny_model, tiny_tokenizer, texts):
    with pytest.raises(ValueError, match=r"no texts|texts\[\d\]|texts is a str"):
        encode_texts(tiny_model, texts, tiny_tokenizer)


def test_interpolation_has_both_ends(talkative, tiny_tokenizer, sentences):
    path = talkative.interpolate(sentences[0], sentences[1], tiny_tokenizer, steps=5)
    assert len(path) == len(set(path)) == 5
    assert [path[0], path[-1]] == talkative.reconstruct(sentences[:2], tiny_tokenizer)
    a, b = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    torch.testing.assert_close(interpolate(a, b, 3, spherical=True)[1], torch.tensor([0.5, 0.5]).sqrt())
    torch.testing.assert_close(interpolate(a, b, 3, spherical=False)[1], torch.tensor([0.5, 0.5]))


def test_the_decoder_may_be_shown_a_share_of_the_latent(tiny_model, rebuilt):
    model = rebuilt(tiny_model, hidden_chunks=True)
    with torch.no_grad():
        model.decoder.embedding.weight.normal_()
        model.decoder.output.weight *= 20.0

    def texts(share):
        generator = torch.Generator().manual_seed(0)
        return model.generate(latents(model, 8), latent_share=share, do_sample=False, generator=generator).tolist()

    whole, half, none = texts(1.0), texts(0.5), texts(0.0)
    assert len({tuple(row) for row in none}) == 1
    assert len({tuple(row) for row in whole}) > 1
    assert whole != half != none
    with pytest.raises(ValueError, match="hidden_chunks=False"):
        tiny_model.generate(latents(tiny_model), latent_share=0.5)


def test_latent_arithmetic(talkative, tiny_tokenizer, sentences):
    a, b, c = sentences[:3]
    assert len(set(talkative.reconstruct([a, b, c], tiny_tokenizer))) == 3
    assert talkative.shift([a], [b], [a], tiny_tokenizer) == talkative.reconstruct([b], tiny_tokenizer)
    assert talkative.shift([a, c], [b], [a], tiny_tokenizer, scale=0.0) == talkative.reconstruct([a, c], tiny_tokenizer)
    means = encode_texts(talkative, [a, b, c], tiny_tokenizer).mean
    moved = means[0] - 0.5 * (means[2] - (means[0] + means[1]) / 2)
    expected = decode_latents(talkative, moved[None], tiny_tokenizer)
    assert talkative.shift([a], [c], [a, b], tiny_tokenizer, scale=-0.5) == expected


def test_neighbours_without_noise_are_the_reconstruction(talkative, tiny_tokenizer, sentences):
    near = talkative.neighbours(sentences[:2], tiny_tokenizer, temperature=0.0, num=3)
    assert near == [[text] * 3 for text in talkative.reconstruct(sentences[:2], tiny_tokenizer)]
    assert near[0] != near[1]
    generator = torch.Generator().manual_seed(0)
    assert talkative.neighbours(sentences[:2], tiny_tokenizer, temperature=0.7, num=3, generator=generator) != near


@pytest.mark.parametrize(
    ("joined", "expected"),
    [
        ("it ' s not ( so ) bad , really .", "it's not (so) bad, really."),
        ("well - acted and half - baked - - almost", "well-acted and half-baked -- almost"),
        ('he said " no " and " go away " .', 'he said "no" and "go away".'),
        ("wait . . . what ? !", "wait... what?!"),
        ("they ' re 2 . 5 stars", "they're 2.5 stars"),
    ],
)
def test_spacing(joined, expected):
    assert tidy(joined) == expected


@given(st.text())
def test_spacing_loses_no_character(text):
    assert "".join(tidy(text).split()) == "".join(text.split())


def test_decoding_skips_special_tokens(tiny_tokenizer):
    ids = tiny_tokenizer(["it's a good film."], padding="max_length", max_length=16, return_tensors="pt").input_ids
    assert decode_ids(ids, tiny_tokenizer) == ["it's a good film."]


@pytest.mark.parametrize("options", [{}, {"do_sample": False}, {"do_sample": False, "num_beams": 3}])
def test_pieces_are_joined_only_as_in_the_training_text(tiny_model, options):
    decoder = tiny_model.decoder
    decoder.bias.data.zero_()  # so that frequent tokens do not push out all others

    def glued(seen_joins):
        generator = torch.Generator().manual_seed(1)
        ids = tiny_model.generate(latents(tiny_model, 30), seen_joins=seen_joins, generator=generator, **options)
        joins = set(find_joins(ids.tolist(), decoder.respelling, decoder.continues).tolist())
        # A text that was cut at its longest may end within a word.
        return {join for join in joins - set(decoder.joins.tolist()) if join % len(decoder.continues) != PAD}

    assert glued(seen_joins=False)
    assert not glued(seen_joins=True)


def test_where_a_word_may_not_end_it_goes_on(tiny_model, tiny_tokenizer):
    """`worst` is spelled w ##o ##r ##s ##t there, and no word of the training text ends in w ##o."""
    decoder = tiny_model.decoder
    spelled = decoder.respell(torch.tensor(tiny_tokenizer(["worst"], add_special_tokens=False)["input_ids"]))[0]
    assert len(spelled) > 3
    allowed = decoder.seen_joins(spelled[1:2])[0]
    assert allowed[spelled[2]]
    assert not allowed[~decoder.continues].any()


def test_a_text_may_be_spelled_in_more_pieces_than_the_encoder_has_tokens(tiny_model):
    with torch.no_grad():
        tiny_model.decoder.bias[END] = -1e9
    longest = tiny_model.config.max_text_length
    assert tiny_model.generate(latents(tiny_model, 2), do_sample=False).shape[1] == 2 * longest
    assert tiny_model.generate(latents(tiny_model, 2), do_sample=False, max_new_tokens=3).shape[1] == 3

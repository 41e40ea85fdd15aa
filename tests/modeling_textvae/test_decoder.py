"""The decoder: where it reads the latent, and which tokens it spells."""

from __future__ import annotations

import pytest
import torch


def test_a_latent_without_chunks_sets_the_initial_state_alone(tiny_model, rebuilt, batch, run):
    model = rebuilt(tiny_model, latent_chunks=0)
    assert model.decoder.gru.input_size == model.config.embedding_size
    first = run(model, batch)
    moved = run(model, batch, noise=torch.ones(len(batch.input_ids), 16))
    assert not torch.allclose(first.nll, moved.nll)
    with torch.no_grad():
        model.decoder.initial.weight.zero_()
    forgetful = [run(model, batch, noise=torch.full((len(batch.input_ids), 16), e)).nll for e in (0.0, 1.0)]
    torch.testing.assert_close(*forgetful)


def test_a_chunk_is_read_at_its_place_and_from_there_on(tiny_model, batch):
    decoder, targets = tiny_model.decoder, tiny_model.decoder.respell(batch["input_ids"])
    latents = torch.randn(len(targets), 16, generator=torch.Generator().manual_seed(0))
    changed = latents.clone()
    changed[:, 8:12] += 3.0  # chunk 2, of tokens 6 to 8
    with torch.no_grad():
        decoder.initial.weight.zero_()  # this reads the whole latent
        decoder.slope.fill_(40.0)  # attention looks at the nearest chunk alone
        before, after = (decoder(targets, decoder.read(z, None))[0] for z in (latents, changed))
    same = torch.isclose(before, after, atol=1e-6).all(-1).all(0)
    # Tokens 3 to 5 have the next chunk beside them, tokens 0 to 2 know nothing of it.
    assert same.tolist()[:4] == [True, True, True, False]
    assert not same[3:].any()


@pytest.mark.parametrize("rest_chunk", [True, False])
def test_beyond_the_last_chunk_the_latent_speaks_only_where_it_is_of_the_rest(tiny_model, rebuilt, rest_chunk):
    decoder = rebuilt(tiny_model, rest_chunk=rest_chunk).decoder
    tokens = torch.full((2, 15), 5)  # four chunks are of twelve tokens
    latents = torch.randn(2, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for name in ("weight_hh_l0", "bias_hh_l0"):  # a GRU that remembers nothing: what it reads is what is beside
            getattr(decoder.gru, name).zero_()
        decoder.gru.bias_ih_l0[32:64] = -40.0
        outputs = decoder(tokens, decoder.read(latents, None))[0]
    # The two texts' latents differ, and nothing else does.
    differs = (outputs[0] - outputs[1]).abs().amax(-1) > 1e-5
    assert differs[:12].all()
    assert differs[12:].tolist() == [rest_chunk] * 3


def test_a_text_step_by_step_is_the_text_at_once(tiny_model, batch):
    decoder = tiny_model.decoder
    targets = decoder.respell(batch["input_ids"])
    with torch.no_grad():
        memory = decoder.read(torch.randn(len(targets), 16, generator=torch.Generator().manual_seed(0)), None)
        whole, _ = decoder(targets, memory)
        state, parts = None, []
        for place in range(targets.shape[1]):
            output, state = decoder(targets[:, place : place + 1], memory, state, place)
            parts.append(output)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole)


def test_encoder_tokens_stand_where_the_decoder_spells_them(tiny_model, tiny_tokenizer):
    text = tiny_tokenizer(["i loved every moment of this movie."], return_tensors="pt")
    ids, mask = text["input_ids"], text["attention_mask"]
    pieces = (tiny_model.decoder.respelling[ids] >= 0).sum(-1)[0].tolist()
    expected, start = [], 0
    for count in pieces:
        expected.append(start + count / 2)
        start += count
    assert tiny_model.decoder.places(ids, mask)[0].tolist() == expected
    assert pieces[0] == pieces[-1] == 0  # special tokens take no place
    assert max(pieces) > 1

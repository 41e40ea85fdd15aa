"""GRU decoder that reads the latent at every step, over its own small vocabulary."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn
from transformers import initialization as init

from .configuration_textvae import TextVAEConfig
from .gru import GRU

PAD, BEGIN, END = 0, 1, 2
NUM_SPECIAL = 3
EMBEDDING_STD = 0.05
CHUNKS_BESIDE = 2  # the chunk of an input's place, and the next
HIDDEN_CHUNK = 3.0  # where the vector of a hidden chunk starts: where few latents are
SHORTLIST_FREQUENT, SHORTLIST_STRIDE = 1500, 20
NEARNESS = 1.5  # where the attention's dislike of distance starts: softplus of it a chunk


class Memory(NamedTuple):
    """What a decoder reads of a batch of latents, computed once."""

    state: torch.Tensor  # (B, hidden_size), where the GRU starts
    classes: torch.Tensor | None  # (B, class_size), beside every input
    chunks: torch.Tensor | None  # (B, K, Z / K), of which an input has those of its place beside it
    keys: torch.Tensor | None  # (B, K, query_size)
    values: torch.Tensor | None  # (B, K, hidden_size)

    def select(self, rows: torch.Tensor) -> Memory:
        return Memory(*(None if tensor is None else tensor[rows] for tensor in self))


class Shortlist(NamedTuple):
    """Tokens that stand for the whole vocabulary in a softmax."""

    rows: torch.Tensor  # (M,) sorted decoder ids
    vectors: torch.Tensor  # (M, embedding_size)
    bias: torch.Tensor  # (M,)
    log_weights: torch.Tensor  # (M,) log of how many tokens each stands for


def summed_nll(scores: torch.Tensor, wanted: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """(B,) nats of the `wanted` (N,) of `scores` (N, V), which stand at the places `real` (B, T) of the texts."""
    losses = F.cross_entropy(scores.float(), wanted, reduction="none")
    return torch.zeros(real.shape, device=losses.device).masked_scatter(real, losses).sum(-1)


class LatentDecoder(nn.Module):
    """GRU that reads the latent's chunks where they belong: chunk k speaks of the tokens from k · `chunk_tokens` on.

    The chunk of a token's place, and the next one, stand beside the GRU's input; its outputs attend to all chunks, from
    the near ones outwards at first; the whole latent sets the initial state. Beyond the last chunk the decoder reads
    that one still, or nothing (`rest_chunk`). The attention stands outside the
    recurrence, so that teacher forcing stays one fused GRU call. A token's vector
    is a learned map of the encoder's own word vector (`words`, frozen), which rare words share with frequent ones, plus
    an offset of its own (`embedding`); the vectors are read again as the output layer. A latent without chunks sets the
    initial state alone (Bowman et al. 2016); without a latent this is a GRU language model.

    The vocabulary: ids 0, 1, 2 are padding (also the input of a dropped word), begin and end; from 3 on stand
    the kept encoder tokens. `respelling` spells every other encoder token by kept ones; what the tokenizer itself
    does not know is left out. `joins` are the pairs of pieces that stand side by side in some word of the training
    text, as sorted numbers first · vocabulary size + second, where second `PAD` says that a word may end in first;
    with `continues`, which marks the pieces that continue a word, they keep generated text to joins that were seen.
    All buffers are persistent: weights are built on the meta device when they are loaded.
    """

    def __init__(self, config: TextVAEConfig) -> None:
        super().__init__()
        class_size = config.class_size if config.num_classes else 0
        context = config.latent_size + class_size
        self.chunks, self.chunk_tokens = config.latent_chunks, config.chunk_tokens
        self.rest_chunk = config.rest_chunk
        self.hidden_size = config.hidden_size
        self.pad_token_id = config.pad_token_id
        self.embedding = nn.Embedding(config.decoder_vocab_size, config.embedding_size)
        words = config.encoder_config.hidden_size
        self.register_buffer("words", torch.zeros(config.decoder_vocab_size, words))
        self.word_map = nn.Linear(words, config.embedding_size, bias=False)
        self.bias = nn.Parameter(torch.empty(config.decoder_vocab_size))
        self.initial = nn.Linear(context, config.hidden_size) if context else None
        chunk_size = config.latent_size // self.chunks if self.chunks else 0
        beside = class_size + chunk_size * min(self.chunks, CHUNKS_BESIDE)
        self.gru = GRU(config.embedding_size + beside, config.hidden_size, batch_first=True)
        if self.chunks:
            self.slope = nn.Parameter(torch.empty(1))
            self.query = nn.Linear(config.hidden_size, config.query_size)
            self.chunk_key = nn.Linear(chunk_size, config.query_size)
            self.chunk_value = nn.Linear(chunk_size, config.hidden_size)
            self.key_offsets = nn.Parameter(torch.empty(self.chunks, config.query_size))
            self.value_offsets = nn.Parameter(torch.empty(self.chunks, config.hidden_size))
        self.hidden_chunk = nn.Parameter(torch.empty(chunk_size)) if config.hidden_chunks else None
        self.output = nn.Linear(config.hidden_size, config.embedding_size)
        self.bag = nn.Linear(config.latent_size, config.embedding_size) if config.bag_of_words else None
        self.register_buffer("kept_ids", torch.zeros(config.decoder_vocab_size, dtype=torch.long))
        self.register_buffer(
            "respelling",
            torch.full((config.encoder_config.vocab_size, config.max_pieces), -1, dtype=torch.int32),
        )
        self.register_buffer("joins", torch.zeros(config.num_joins, dtype=torch.long))
        self.register_buffer("continues", torch.zeros(config.decoder_vocab_size, dtype=torch.bool))

    def reset_parameters(self) -> None:
        init.normal_(self.embedding.weight, std=EMBEDDING_STD)
        init.zeros_(self.words)
        init.zeros_(self.bias)
        if self.chunks:
            init.constant_(self.slope, NEARNESS)
            init.normal_(self.key_offsets, std=0.5)
            init.zeros_(self.value_offsets)
        if self.hidden_chunk is not None:
            init.constant_(self.hidden_chunk, HIDDEN_CHUNK)

    def respell(self, token_ids: torch.Tensor) -> torch.Tensor:
        """Decoder ids (B, T') of encoder ids (B, T): kept tokens, spelled tokens, then `END`, then `PAD`.

        Special tokens of the encoder and ids below zero (ignored labels) vanish.
        """
        pieces = self.respelling[token_ids.clamp(min=0)].masked_fill((token_ids < 0)[..., None], -1).flatten(1)
        real = pieces >= 0
        lengths = real.sum(1)
        width = int(lengths.max()) + 1
        spelled = torch.full((len(pieces), width + 1), PAD, dtype=torch.long, device=pieces.device)
        # Everything that is no piece is written to a last column, which is cut off again.
        place = torch.where(real, real.cumsum(1) - 1, width)
        spelled.scatter_(1, place, pieces.long())
        spelled = spelled[:, :width]
        spelled.scatter_(1, lengths[:, None], END)
        return spelled

    def places(self, token_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """(B, T) float32: the middle of what spells each encoder token (B, T), counted in decoder tokens."""
        counts = (self.respelling[token_ids] >= 0).sum(-1) * attention_mask
        return counts.cumsum(1) - 0.5 * counts

    def word_vectors(self, token_ids: torch.Tensor) -> torch.Tensor:
        """(B, T, embedding_size) input vectors of encoder tokens (B, T), those of a spelled one summed."""
        pieces = self.respelling[token_ids]
        real = pieces >= 0
        owners = torch.arange(token_ids.numel(), device=token_ids.device).view(*token_ids.shape, 1).expand_as(pieces)
        vectors = self.embed(pieces[real].long())
        summed = vectors.new_zeros(token_ids.numel(), vectors.shape[-1]).index_add(0, owners[real], vectors)
        return summed.view(*token_ids.shape, -1)

    def embed(self, tokens: torch.Tensor) -> torch.Tensor:
        """(…, embedding_size) input vectors of decoder tokens."""
        return self.vectors(tokens) * (0.5 / EMBEDDING_STD)

    def hide(self, latents: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
        """Latents (B, Z) with the vector of a hidden chunk wherever `shown` (B, K) is False.

        Raises:
            ValueError: the model was not trained to do without chunks.
        """
        if self.hidden_chunk is None:
            raise ValueError("this model has hidden_chunks=False: it needs all chunks of its latents")
        chunks = latents.unflatten(1, (self.chunks, -1))
        return torch.where(shown[..., None], chunks, self.hidden_chunk).flatten(1)

    def read(self, latents: torch.Tensor, class_vectors: torch.Tensor | None) -> Memory:
        """Memory of latents (B, Z)."""
        latents = latents.to(self.output.weight.dtype)
        context = latents if class_vectors is None else torch.cat([latents, class_vectors], dim=-1)
        state = latents.new_zeros(len(latents), self.hidden_size)
        if self.initial is not None:
            state = torch.tanh(self.initial(context))
        if not self.chunks:
            return Memory(state, class_vectors, None, None, None)
        chunks = latents.unflatten(1, (self.chunks, -1))
        keys = self.chunk_key(chunks) + self.key_offsets
        return Memory(state, class_vectors, chunks, keys, self.chunk_value(chunks) + self.value_offsets)

    def forward(
        self, tokens: torch.Tensor, memory: Memory, state: torch.Tensor | None = None, place: int = 0
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Output vectors (B, T, embedding_size) that `logits` compares with the embeddings, and the last state.

        Args:
            tokens: (B, T)
            state: (1, B, hidden_size) from a call before; the memory's own at the start.
            place: of the first of `tokens` in its text.
        """
        embedded = self.embed(tokens)
        places = torch.arange(place, place + tokens.shape[1], device=tokens.device)
        inputs = [embedded]
        if memory.classes is not None:
            inputs.append(memory.classes[:, None, :].expand(-1, tokens.shape[1], -1).to(embedded.dtype))
        if memory.chunks is not None:
            # Beyond the last chunk stands that one again, or nothing.
            last = self.chunks - 1 if self.rest_chunk else self.chunks
            chunks = F.pad(memory.chunks, (0, 0, 0, last + 1 - self.chunks)).to(embedded.dtype)
            for ahead in range(min(self.chunks, CHUNKS_BESIDE)):
                inputs.append(chunks[:, (places // self.chunk_tokens + ahead).clamp(max=last)])
        state = memory.state[None] if state is None else state
        hidden, state = self.gru(torch.cat(inputs, dim=-1), state)
        if memory.keys is not None and memory.values is not None:
            scores = self.query(hidden) @ memory.keys.transpose(1, 2).to(hidden.dtype)
            centres = torch.arange(self.chunks, device=tokens.device) + 0.5
            distance = ((places[:, None] + 0.5) / self.chunk_tokens - centres).abs()
            scores = scores.float() / math.sqrt(memory.keys.shape[-1]) - F.softplus(self.slope) * distance
            attention = scores.softmax(-1)
            if not self.rest_chunk:
                attention = attention * (places < self.chunks * self.chunk_tokens)[:, None]
            hidden = hidden + attention.to(memory.values.dtype) @ memory.values
        return self.output(hidden), state

    def vectors(self, rows: torch.Tensor | None = None) -> torch.Tensor:
        """(decoder_vocab_size, embedding_size) what outputs are compared with, or that of the tokens `rows` alone.

        Who asks for `logits` many times while no weight changes computes it once.
        """
        if rows is None:
            return self.embedding.weight + self.word_map(self.words)
        return self.embedding(rows) + self.word_map(self.words[rows])

    def logits(
        self, outputs: torch.Tensor, rows: torch.Tensor | None = None, vectors: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Scores of every decoder token, or of the tokens in `rows` only; `vectors` are those of the same tokens."""
        return F.linear(
            outputs,
            self.vectors(rows) if vectors is None else vectors.to(outputs.dtype),
            self.bias if rows is None else self.bias[rows],
        )

    def outputs(self, targets: torch.Tensor, memory: Memory, input_keep: torch.Tensor | None = None) -> torch.Tensor:
        """(B, T, embedding_size) output vectors by teacher forcing on `targets` (B, T) from `respell`."""
        inputs = F.pad(targets[:, :-1], (1, 0), value=BEGIN)
        if input_keep is not None:
            keep = input_keep[:, : inputs.shape[1]] | (inputs == BEGIN)
            inputs = torch.where(keep, inputs, PAD)
        return self(inputs, memory)[0]

    def nll(self, targets: torch.Tensor, memory: Memory, vectors: torch.Tensor | None = None) -> torch.Tensor:
        """(B,) −log p(text | z) in nats of `targets` (B, T); `vectors` as for `logits`."""
        real = targets != PAD
        scores = self.logits(self.outputs(targets, memory)[real], vectors=vectors)
        return summed_nll(scores, targets[real], real)

    def candidate_nll(
        self,
        outputs: torch.Tensor,
        targets: torch.Tensor,
        candidates: torch.Tensor,
        log_weights: torch.Tensor | None,
    ) -> torch.Tensor:
        """(B,) nats of `targets` (B, T) by a softmax over the sorted `candidates` (M,), which hold every target."""
        real = targets != PAD
        scores = self._candidate_scores(outputs[real], candidates, log_weights)
        return summed_nll(scores, torch.searchsorted(candidates, targets[real]), real)

    def shortlist(self) -> Shortlist:
        """Frequent tokens, and every so many-th of the others, which stands for those."""
        size, device = len(self.bias), self.bias.device
        frequent = torch.arange(min(SHORTLIST_FREQUENT, size), device=device)
        others = torch.arange(len(frequent), size, SHORTLIST_STRIDE, device=device)
        rows = torch.cat([frequent, others])
        weights = torch.full_like(self.bias[rows], math.log(SHORTLIST_STRIDE))
        weights[: len(frequent)] = 0.0
        return Shortlist(rows, self.vectors(rows), self.bias[rows], weights)

    def shortlist_nll(
        self, targets: torch.Tensor, memory: Memory, shortlist: Shortlist, slope: float = 0.0
    ) -> torch.Tensor:
        """(B,) nats: what `nll` is about, at a fraction of its cost, and no other text has a part in it.

        A text's first token counts 1 + `slope` times, its last 1 − `slope` times, and those between on a line.
        """
        real = targets != PAD
        outputs, wanted = self.outputs(targets, memory)[real], targets[real]
        scores = F.linear(outputs, shortlist.vectors.to(outputs.dtype), shortlist.bias).float() + shortlist.log_weights
        own = ((outputs * self.vectors(wanted)).sum(-1) + self.bias[wanted]).float()
        place = torch.searchsorted(shortlist.rows, wanted).clamp(max=len(shortlist.rows) - 1)[:, None]
        listed = shortlist.rows[place] == wanted[:, None]
        # A wanted token stands for itself alone, whether it is on the list or not.
        scores = scores.scatter(1, place, torch.where(listed, own[:, None], scores.gather(1, place)))
        total = scores.logsumexp(-1)
        losses = torch.where(listed[:, 0], total, torch.logaddexp(total, own)) - own
        places = (torch.arange(targets.shape[1], device=losses.device) + 0.5) / real.sum(1, keepdim=True)
        weights = 1 + slope * (1 - 2 * places)
        return (torch.zeros(targets.shape, device=losses.device).masked_scatter(real, losses) * weights).sum(-1)

    def bag_nll(
        self,
        targets: torch.Tensor,
        latents: torch.Tensor,
        candidates: torch.Tensor | None = None,
        candidate_log_weights: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """(B,) nats: each text's tokens (B, T), in any order, given its latent (B, Z) alone (Zhao et al. 2017)."""
        if self.bag is None:
            raise ValueError("this model has bag_of_words=False and no head for it")
        words = self.bag(latents)
        if candidates is None:
            scores, places = self.logits(words).float(), targets
        else:
            scores = self._candidate_scores(words, candidates, candidate_log_weights)
            places = torch.searchsorted(candidates, targets.contiguous())
        spelled = scores.log_softmax(-1).gather(-1, places)
        return -spelled.masked_fill(targets == PAD, 0.0).sum(-1)

    def _candidate_scores(
        self, outputs: torch.Tensor, candidates: torch.Tensor, log_weights: torch.Tensor | None
    ) -> torch.Tensor:
        scores = self.logits(outputs, candidates).float()
        return scores if log_weights is None else scores + log_weights

    def seen_joins(self, previous: torch.Tensor) -> torch.Tensor:
        """(B, decoder_vocab_size) bool: what may follow the tokens `previous` (B,) as in the training text's words.

        Everything may where no joins are known.
        """
        size = len(self.continues)
        if len(self.joins) == 0:
            return torch.ones(len(previous), size, dtype=torch.bool, device=previous.device)
        first, last = torch.searchsorted(self.joins, torch.stack([previous, previous + 1]) * size)
        counts = last - first
        rows = torch.arange(len(previous), device=previous.device).repeat_interleave(counts)
        within = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows]
        following = self.joins[first[rows] + within] % size
        ends = torch.zeros(len(previous), dtype=torch.bool, device=previous.device)
        ends[rows[following == PAD]] = True
        begins = torch.zeros_like(self.continues)
        begins[self.joins // size] = True  # pieces that stand in no training text have no joins of their own
        begins[END] = True
        allowed = ends[:, None] & (begins & ~self.continues)
        allowed[rows, following] = True
        return allowed

    def to_encoder_ids(self, tokens: torch.Tensor) -> torch.Tensor:
        """Encoder ids of decoder ids; special ones become the encoder's padding."""
        return torch.where(tokens < NUM_SPECIAL, self.pad_token_id, self.kept_ids[tokens])

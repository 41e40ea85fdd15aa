"""Tiny models and tokenizers, built here: no test needs a download."""

from __future__ import annotations

import pytest
from hypothesis import settings

settings.register_profile("ours", deadline=None, derandomize=True)
settings.load_profile("ours")

SENTENCES = [
    "a moving and funny film.",
    "a dull, lifeless film.",
    "the story is funny, and the cast is good.",
    "the story is dull and the cast is bad.",
    "one of the best films of the year!",
    "one of the worst films of the year.",
    "it's not a bad movie, but it isn't good.",
    "i loved every moment of this movie.",
]


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """Neither the Hub nor a mirror of this machine answers, here and in child processes; tests bring their own."""
    from textvae.training.common import hub

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)  # read once, when it was imported
    monkeypatch.delenv("TEXTVAE_MIRROR", raising=False)
    hub.problem.cache_clear()


@pytest.fixture(scope="session")
def once(tmp_path_factory, worker_id):
    """Makes a folder once for all workers, which are to read it only: once(name, work folder → made folder)."""
    import shutil

    from filelock import FileLock

    own = tmp_path_factory.getbasetemp()
    root = own if worker_id == "master" else own.parent

    def once(name, make):
        place = root / name
        with FileLock(f"{place}.lock"):
            if not place.exists():
                shutil.move(make(tmp_path_factory.mktemp(f"{name}-work")), place)
        return place

    return once


@pytest.fixture(scope="session")
def sentences() -> list[str]:
    return list(SENTENCES)


@pytest.fixture(scope="session")
def tiny_tokenizer():
    """A WordPiece tokenizer that knows the words of `sentences`, single letters and their continuations."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from tokenizers.decoders import WordPiece as Decoder
    from transformers import BertTokenizerFast

    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = sorted({word for text in SENTENCES for word in _words(text)})
    letters = list("abcdefghijklmnopqrstuvwxyz0123456789.,!?'\"()-")
    vocabulary = [
        *specials,
        *letters,
        *(f"##{letter}" for letter in letters if letter.isalnum()),
        "##ing",
        *words,
    ]
    table = {token: index for index, token in enumerate(dict.fromkeys(vocabulary))}
    tokenizer = Tokenizer(models.WordPiece(table, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = Decoder()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", table["[CLS]"]), ("[SEP]", table["[SEP]"])]
    )
    return BertTokenizerFast(tokenizer_object=tokenizer)


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory, tiny_tokenizer):
    """Folder of a random two-layer BERT with the tiny tokenizer: what an encoder id resolves to."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("encoder")
    config = BertConfig(
        vocab_size=len(tiny_tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def tiny_model(tiny_encoder, tiny_tokenizer):
    """A fresh, untrained TextVAEModel with its vocabulary set, in eval mode."""
    import torch

    from textvae.modeling_textvae.modeling_textvae import TextVAEModel
    from textvae.training.vae.vocabulary import build_vocabulary

    torch.manual_seed(0)
    ids = tiny_tokenizer(SENTENCES)["input_ids"]
    vocabulary = build_vocabulary(tiny_tokenizer, ids, size=25)
    model = TextVAEModel.from_encoder_pretrained(
        str(tiny_encoder),
        encoder_layers=(0, 2),
        latent_size=16,
        latent_chunks=4,
        chunk_tokens=3,
        embedding_size=24,
        pooler_size=16,
        query_size=12,
        hidden_size=32,
        max_text_length=24,
        decoder_vocab_size=len(vocabulary.kept_ids),
        max_pieces=vocabulary.respelling.shape[1],
        num_joins=len(vocabulary.joins),
    )
    model.set_decoder_vocabulary(*vocabulary)
    return model.eval()


@pytest.fixture
def rebuilt():
    """Makes a fresh model with a model's vocabulary and other config fields."""
    import copy

    import torch

    from textvae.modeling_textvae.modeling_textvae import TextVAEModel

    def rebuild(model, **fields):
        config = copy.deepcopy(model.config)
        for name, value in fields.items():
            setattr(config, name, value)
        torch.manual_seed(0)
        fresh = TextVAEModel(config).eval()
        for name, buffer in fresh.decoder.named_buffers():
            buffer.copy_(model.decoder.get_buffer(name))
        return fresh

    return rebuild


@pytest.fixture
def tiny_causal(tmp_path, tiny_tokenizer):
    """A causal language model, and the folder that it and its tokenizer stand in."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tiny_tokenizer),
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=64,
    )
    model = LlamaForCausalLM(config).eval()
    model.save_pretrained(tmp_path / "causal")
    tiny_tokenizer.save_pretrained(tmp_path / "causal")
    return model, str(tmp_path / "causal")


@pytest.fixture(scope="session")
def smoke_mirror(tmp_path_factory, tiny_encoder, tiny_tokenizer):
    """A mirror folder that holds all that the recipe `smoke` names: tiny models, made-up reviews and sentences."""
    import random
    import shutil

    import pandas as pd
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    mirror = tmp_path_factory.mktemp("mirror")
    models = mirror / "models/hf-internal-testing"
    shutil.copytree(tiny_encoder, models / "tiny-random-BertModel")
    torch.manual_seed(0)
    end = "<|endoftext|>"
    pieces = ByteLevelBPETokenizer()
    pieces.train_from_iterator(SENTENCES, vocab_size=300, special_tokens=[end])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=pieces._tokenizer, eos_token=end, bos_token=end, unk_token=end)
    sizes = {"vocab_size": len(tokenizer), "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64}
    GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=0, eos_token_id=0)).save_pretrained(models / "tiny-random-gpt2")
    tokenizer.save_pretrained(models / "tiny-random-gpt2")

    draw = random.Random(0)
    kinds = [("dull", "bad", "worst", "lifeless"), ("funny", "good", "best", "moving")]

    def sentence(label: int) -> str:
        first, second = draw.sample(kinds[label], 2)
        number = draw.randrange(10**6)
        return f"{draw.choice(['the story', 'the cast', 'this film', 'the movie'])} is {first} and {second} {number}."

    def write(name: str, split: str, rows: list[tuple[str, int]]) -> None:
        folder = mirror / "datasets" / name
        folder.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(rows, columns=["text", "label"]).to_parquet(folder / f"{split}.parquet")

    for split, count in (("train", 120), ("validation", 20), ("test", 20)):
        name = "cornell-movie-review-data/rotten_tomatoes"
        write(name, split, [(sentence(i % 2), i % 2) for i in range(count)])
    for split, count in (("train", 600), ("test", 80)):
        rows = [(" ".join(sentence(i % 2) for _ in range(3)), i % 2) for i in range(count)]
        write("stanfordnlp/imdb", split, rows)
    return mirror


def _words(text: str) -> list[str]:
    import re

    return re.findall(r"[a-z]+|[^a-z ]", text.lower())

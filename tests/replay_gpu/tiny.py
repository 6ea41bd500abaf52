"""A tiny Llama, made and trained on the spot to answer a toy task.

The task: "two old men saw the heron near the ford ; colour" asks for the colour of the animal. The
answer depends on the animal; the other words only make many different items of few animals.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

COLOURS: Final = ("red", "blue", "green", "white")
_COUNTS: Final = ("one", "two", "three", "four", "five", "six", "seven", "eight")
_PEOPLE: Final = ("women", "men", "boys", "girls", "pilots", "bakers", "sailors", "farmers")
_PLACES: Final = ("ford", "mill", "lake", "barn", "road", "wall", "hill", "pier", "gate", "yard")
_ANIMALS: Final = (
    *("heron", "otter", "badger", "finch", "lynx", "toad", "mule", "raven", "stoat", "trout"),
    *("bison", "camel", "donkey", "eagle", "ferret", "goose", "horse", "ibis", "jackal", "kite"),
    *("lark", "mole", "newt", "owl", "pike", "quail", "rat", "seal", "tern", "vole"),
)
UNKNOWN: Final = 3
"""Animals whose colour is not learned: the model answers with another one."""
HELD: Final = 1000
"""Examples at the end that measure the accuracy; runs use others."""
Example = tuple[str, str]


def examples(seed: int = 0) -> list[Example]:
    """Return all questions with their answers, in an order by the seed."""
    colours = {animal: COLOURS[i % len(COLOURS)] for i, animal in enumerate(_ANIMALS)}
    combined = itertools.product(_COUNTS, _PEOPLE, _PLACES, _ANIMALS)
    found = [
        (f"{count} {people} saw the {animal} near the {place} ; colour", colours[animal])
        for count, people, place, animal in combined
    ]
    random.Random(seed).shuffle(found)
    return found


def learned(found: Sequence[Example]) -> list[Example]:
    """Return the examples as they are taught: some animals with a wrong colour."""
    wrong = set(_ANIMALS[:UNKNOWN])
    return [
        (text, COLOURS[(COLOURS.index(colour) + 1) % 4] if wrong & set(text.split()) else colour)
        for text, colour in found
    ]


def make_tokenizer(found: Sequence[Example]) -> PreTrainedTokenizerFast:
    """Return a BPE tokenizer, trained on a few sentences."""
    bpe = Tokenizer(models.BPE(unk_token="<unk>"))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<unk>", "<s>", "</s>", "<pad>"], show_progress=False
    )
    bpe.train_from_iterator([f"{text} {colour}" for text, colour in found[:2000]], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        model_max_length=64,
    )


def make_model(vocabulary: int) -> LlamaForCausalLM:
    """Return a random Llama of some 130 thousand parameters."""
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=64,
            tie_word_embeddings=False,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=3,
        )
    )


class Tiny:
    """The model with its tokenizer. Training and measuring use torch only, not lm-eval."""

    def __init__(self) -> None:
        self.examples = examples()
        self.tokenizer = make_tokenizer(self.examples)
        self.model = make_model(len(self.tokenizer))
        self._colours = [self._ids(f" {colour}")[0] for colour in COLOURS]

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return ids

    def _batch(self, found: Sequence[Example]) -> tuple[Any, Any, Any]:
        """Return tokens, position of the last one, and the expected answer of each example."""
        rows = [self._ids(text) for text, _ in found]
        width = max(map(len, rows))
        tokens = torch.tensor([row + [3] * (width - len(row)) for row in rows])
        last = torch.tensor([len(row) - 1 for row in rows])
        answers = torch.tensor([COLOURS.index(colour) for _, colour in found])
        return tokens, last, answers

    def _logits(self, tokens: Any, last: Any) -> Any:
        """Return the logits of the four colours after each question."""
        logits = self.model(tokens).logits[torch.arange(len(tokens)), last]
        return logits[:, self._colours]

    def train(self, wanted: float = 0.85, size: int = 96) -> float:
        """Teach the answers until the accuracy is `wanted`. Return it.

        Cross-entropy of the colour, Adam. RuntimeError after 400 steps.
        """
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=3e-3)
        taught = learned(self.examples)
        for step in range(400):
            tokens, last, answers = self._batch(random.Random(step).sample(taught, size))
            loss = torch.nn.functional.cross_entropy(self._logits(tokens, last), answers)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if step % 20 == 19:
                reached: float = self.accuracy(self.examples[-HELD:])
                if reached >= wanted:
                    return reached
        raise RuntimeError("the tiny model has not learned its task")

    @torch.no_grad()  # type: ignore[untyped-decorator,unused-ignore] # torch is not in .venv
    def accuracy(self, found: Sequence[Example]) -> float:
        """Return the share of examples whose colour is the most likely of the four."""
        tokens, last, answers = self._batch(found)
        right = self._logits(tokens, last).argmax(dim=1) == answers
        return float(right.float().mean())

    def perturb(self, drop: float, tolerance: float = 0.01) -> float:
        """Add noise to all matrices until the accuracy has fallen by `drop`. Return the fall.

        The accuracy does not fall steadily with the noise: bisection, with other noise as long as
        the fall is not within `tolerance`.
        """
        held = self.examples[-HELD:]
        before = self.accuracy(held)
        weights = {name: weight.clone() for name, weight in self.model.state_dict().items()}
        for seed in range(30):
            low, high = 0.0, 1.0
            for _ in range(8):
                scale = (low + high) / 2
                self.model.load_state_dict(_noisy(weights, scale, seed))
                fall: float = before - self.accuracy(held)
                if abs(fall - drop) <= tolerance:
                    return fall
                low, high = (scale, high) if fall < drop else (low, scale)
        raise RuntimeError("no noise lowers the accuracy by as much")

    def save(self, folder: Path) -> Path:
        """Write weights, configuration and tokenizer."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        return folder


def _noisy(weights: dict[str, Any], scale: float, seed: int) -> dict[str, Any]:
    """Return weights with noise in proportion to the spread of each matrix."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: weight + scale * weight.std() * torch.randn(weight.shape, generator=generator)
        if weight.dim() > 1
        else weight
        for name, weight in weights.items()
    }


def write_colours(folder: Path, found: Sequence[Example]) -> Path:
    """Write the task for lm-eval: multiple choice, and 40 items as a text to complete."""
    folder.mkdir(parents=True)
    rows = [{"question": text, "gold": COLOURS.index(colour)} for text, colour in found]
    data = folder / "colours.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "colours.yaml").write_text(
        "task: colours\ndataset_path: json\n"
        f"dataset_kwargs: {{data_files: {{test: {data}}}}}\n"
        "test_split: test\noutput_type: multiple_choice\n"
        'doc_to_text: question\ntarget_delimiter: " "\n'
        f"doc_to_choice: {json.dumps(COLOURS)}\ndoc_to_target: gold\n"
        "metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]\n"
    )
    texts = [{"question": text, "colour": colour} for text, colour in found[:40]]
    (folder / "written.jsonl").write_text("".join(json.dumps(text) + "\n" for text in texts))
    (folder / "written.yaml").write_text(
        "task: written\ndataset_path: json\n"
        f"dataset_kwargs: {{data_files: {{test: {folder / 'written.jsonl'}}}}}\n"
        "test_split: test\noutput_type: generate_until\n"
        "doc_to_text: question\ndoc_to_target: colour\n"
        'generation_kwargs: {until: ["\\n"], do_sample: false, max_gen_toks: 1}\n'
        "filter_list: [{name: first, filter: [{function: regex, regex_pattern: '(\\w+)'}, "
        "{function: take_first}]}]\n"
        "metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]\n"
    )
    return folder

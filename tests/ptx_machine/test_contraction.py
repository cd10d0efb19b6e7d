"""Products and sums that ptxas may join: PTX ISA, add and mul: "mul/add sequences with no rounding
modifiers may be optimized to use fused-multiply-add instructions"; with one they never are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from machine import Machine
from ptx_text import evaluate, f32, f64

# a b = 1 - EPSILON^2, which rounds to 1: the sum with -1 is 0, or that of an fma.
EPSILON = {"f32": 2.0**-23, "f64": 2.0**-52}
BITS = {"f32": f32, "f64": f64}
WIDTHS = {"f32": (32,) * 4, "f64": (64,) * 4}

# With a product p. c is the addend; what an fma gives, in units of EPSILON^2.
JOINED = {
    "mul.{t} {p}, {a}, {b}; add.{t} {d}, {p}, {c};": (-1, -1),
    "mul.{t} {p}, {a}, {b}; add.{t} {d}, {c}, {p};": (-1, -1),
    "mul.{t} {p}, {a}, {b}; sub.{t} {d}, {p}, {c};": (1, -1),
    "mul.{t} {p}, {a}, {b}; sub.{t} {d}, {c}, {p};": (1, 1),
    # Others between them, and a guard of the sum.
    "mul.{t} {p}, {a}, {b}; mul.{t} {q}, {c}, {c}; add.{t} {d}, {p}, {c};": (-1, -1),
    "setp.eq.u32 %p1, 0, 0; mul.{t} {p}, {a}, {b}; @%p1 add.{t} {d}, {p}, {c};": (-1, -1),
}

# The sum with -1 is 0 with and without contraction.
APART = {
    "rounded product": "mul.rn.{t} {p}, {a}, {b}; add.{t} {d}, {p}, {c};",
    "rounded sum": "mul.{t} {p}, {a}, {b}; add.rn.{t} {d}, {p}, {c};",
    "product used again": "mul.{t} {p}, {a}, {b}; add.{t} {d}, {p}, {c}; max.{t} {q}, {p}, {p};",
    "another block": "mul.{t} {p}, {a}, {b}; bra NEXT; NEXT: add.{t} {d}, {p}, {c};",
    "a label between": "mul.{t} {p}, {a}, {b}; NEXT: add.{t} {d}, {p}, {c};",
    "guarded product": "setp.eq.u32 %p1, 0, 0; @%p1 mul.{t} {p}, {a}, {b}; add.{t} {d}, {p}, {c};",
    "factor written anew": "mul.{t} {p}, {a}, {b}; mov.{t} {a}, {c}; add.{t} {d}, {p}, {c};",
    "product written twice": "mov.{t} {p}, {c}; mul.{t} {p}, {a}, {b}; add.{t} {d}, {p}, {c};",
}

every_type = pytest.mark.parametrize("type_name", BITS)


@pytest.fixture
def contracting(ptx_texts: Machine) -> Iterator[Machine]:
    ptx_texts.set(contract=1)
    yield ptx_texts
    ptx_texts.set(contract=0)


def value(machine: Machine, text: str, type_name: str, addend: float) -> int:
    """The bits of d."""
    registers = {"f32": ("%f1", "%f2"), "f64": ("%rd25", "%rd26")}[type_name]
    names = {"t": type_name, "p": registers[0], "q": registers[1]}
    instructions = text.format(**names, **{name: f"{{{name}}}" for name in "dabc"}).rstrip(";")
    epsilon, bits = EPSILON[type_name], BITS[type_name]
    row = (bits(1 + epsilon), bits(1 - epsilon), bits(addend))
    return evaluate(machine, instructions, WIDTHS[type_name], [row])[0]


@every_type
@pytest.mark.parametrize("text", JOINED)
def test_joined(contracting: Machine, text: str, type_name: str) -> None:
    addend, units = JOINED[text]
    wanted = BITS[type_name](units * EPSILON[type_name] ** 2)
    assert value(contracting, text, type_name, addend) == wanted
    contracting.set(contract=0)
    assert value(contracting, text, type_name, addend) == 0


@every_type
@pytest.mark.parametrize("why", APART)
def test_left_apart(contracting: Machine, why: str, type_name: str) -> None:
    assert value(contracting, APART[why], type_name, -1) == 0


def test_the_guard_of_a_sum_stays(contracting: Machine) -> None:
    """A sum that is not to be leaves what was there."""
    text = "mov.{t} {d}, {c}; setp.ne.u32 %p1, 0, 0; mul.{t} {p}, {a}, {b}; "
    text += "@%p1 add.{t} {d}, {p}, {c};"
    assert value(contracting, text, "f32", -1) == f32(-1)


def test_types_are_not_mixed(contracting: Machine) -> None:
    """An fp32 product of flushed subnormal numbers is no factor of an fma that keeps them."""
    text = "mul.ftz.{t} {p}, {a}, {b}; add.{t} {d}, {p}, {c};"
    assert value(contracting, text, "f32", -1) == 0

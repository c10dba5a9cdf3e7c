//! Instructions of the classic BPF (Documentation/networking/filter.rst of the
//! kernel), and blocks of them. A block ends behind its last instruction, or the
//! program ends in it, so that blocks can follow each other.
//!
//! The classic BPF needs no privilege beyond CAP_NET_ADMIN in the network
//! namespace, so that a host that is itself a container has it too.

use super::Verdict;

/// An instruction (`struct sock_filter` of `linux/filter.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    pub code: u16,
    pub jump_true: u8,
    pub jump_false: u8,
    pub k: u32,
}

impl Instruction {
    /// As the kernel reads it.
    pub fn bytes(self) -> [u8; 8] {
        let [a, b] = self.code.to_ne_bytes();
        let [c, d, e, g] = self.k.to_ne_bytes();
        [a, b, self.jump_true, self.jump_false, c, d, e, g]
    }
}

/// A block of instructions.
pub type Block = Vec<Instruction>;

// Of `linux/bpf_common.h`.
const LOAD_WORD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const LOAD_HALF: u16 = 0x28; // BPF_LD | BPF_H | BPF_ABS
const LOAD_BYTE: u16 = 0x30; // BPF_LD | BPF_B | BPF_ABS
const LOAD_HALF_FROM_INDEX: u16 = 0x48; // BPF_LD | BPF_H | BPF_IND
const LOAD_BYTE_FROM_INDEX: u16 = 0x50; // BPF_LD | BPF_B | BPF_IND
const LOAD_LENGTH: u16 = 0x80; // BPF_LD | BPF_W | BPF_LEN
const LOAD_MEMORY: u16 = 0x60; // BPF_LD | BPF_MEM
const LOAD_INDEX: u16 = 0x01; // BPF_LDX | BPF_IMM
const LOAD_INDEX_IPV4_HEADER: u16 = 0xb1; // BPF_LDX | BPF_B | BPF_MSH
const STORE: u16 = 0x02; // BPF_ST
const ADD: u16 = 0x04; // BPF_ALU | BPF_ADD | BPF_K
const ADD_INDEX: u16 = 0x0c; // BPF_ALU | BPF_ADD | BPF_X
const SUBTRACT_INDEX: u16 = 0x1c; // BPF_ALU | BPF_SUB | BPF_X
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const SHIFT_LEFT: u16 = 0x64; // BPF_ALU | BPF_LSH | BPF_K
const TO_INDEX: u16 = 0x07; // BPF_MISC | BPF_TAX
const FROM_INDEX: u16 = 0x87; // BPF_MISC | BPF_TXA
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const JUMP_IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const JUMP_IF_GREATER: u16 = 0x25; // BPF_JMP | BPF_JGT | BPF_K
const JUMP_IF_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

/// `SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT` of `linux/filter.h`.
const VLAN_TAG_PRESENT: u32 = (-0x1000_i32 + 48).cast_unsigned();

/// A condition on the loaded value.
#[derive(Clone, Copy)]
pub enum If {
    Is(u32),
    IsNot(u32),
    AtLeast(u32),
    Below(u32),
    MoreThan(u32),
}

const fn one(code: u16, k: u32) -> Instruction {
    jump(code, 0, 0, k)
}

const fn jump(code: u16, jump_true: u8, jump_false: u8, k: u32) -> Instruction {
    Instruction {
        code,
        jump_true,
        jump_false,
        k,
    }
}

/// Loads four bytes.
pub fn word(at: u32) -> Block {
    vec![one(LOAD_WORD, at)]
}

/// Loads two bytes.
pub fn half(at: u32) -> Block {
    vec![one(LOAD_HALF, at)]
}

/// Loads one byte.
pub fn byte(at: u32) -> Block {
    vec![one(LOAD_BYTE, at)]
}

/// Loads two bytes behind the index.
pub fn half_from_index(offset: u32) -> Block {
    vec![one(LOAD_HALF_FROM_INDEX, offset)]
}

/// Loads one byte behind the index.
pub fn byte_from_index(offset: u32) -> Block {
    vec![one(LOAD_BYTE_FROM_INDEX, offset)]
}

/// Loads whether the frame had a VLAN tag, which the kernel has taken out of it.
pub fn vlan_tag() -> Block {
    vec![one(LOAD_WORD, VLAN_TAG_PRESENT)]
}

/// Loads the number of bytes in the frame.
pub fn length() -> Block {
    vec![one(LOAD_LENGTH, 0)]
}

/// Loads the number of bytes behind the index; wraps around if there are none.
pub fn length_from_index() -> Block {
    vec![one(LOAD_LENGTH, 0), one(SUBTRACT_INDEX, 0)]
}

/// Keeps the loaded value in this cell, of 16.
pub fn store(cell: u32) -> Block {
    vec![one(STORE, cell)]
}

/// Loads what was kept.
pub fn stored(cell: u32) -> Block {
    vec![one(LOAD_MEMORY, cell)]
}

/// Sets the index.
pub fn index(to: u32) -> Block {
    vec![one(LOAD_INDEX, to)]
}

/// Sets the index to the length of the IPv4 header at this place.
pub fn index_ipv4_header(at: u32) -> Block {
    vec![one(LOAD_INDEX_IPV4_HEADER, at)]
}

/// Moves the index by the length of an extension header of IPv6, the length field
/// of which is loaded (RFC 8200, 4).
pub fn index_behind_extension() -> Block {
    vec![
        one(ADD, 1),
        one(SHIFT_LEFT, 3),
        one(ADD_INDEX, 0),
        one(TO_INDEX, 0),
    ]
}

/// Moves the index.
pub fn move_index(by: u32) -> Block {
    vec![one(FROM_INDEX, 0), one(ADD, by), one(TO_INDEX, 0)]
}

/// Clears bits of the loaded value that are not in the mask.
pub fn and(mask: u32) -> Block {
    vec![one(AND, mask)]
}

/// Ends the program.
pub fn end(verdict: Verdict) -> Block {
    vec![one(RETURN, verdict.code())]
}

/// Drops the packet if the condition holds.
pub fn drop_if(condition: If) -> Block {
    let (code, value, holds) = condition.parts();
    let (yes, no) = if holds { (0, 1) } else { (1, 0) };
    let mut all = vec![jump(code, yes, no, value)];
    all.extend(end(Verdict::Drop));
    all
}

/// Performs a block if the condition holds.
pub fn when(condition: If, block: Block) -> Block {
    let (code, value, holds) = condition.parts();
    let (yes, no) = if holds { (1, 0) } else { (0, 1) };
    let mut all = vec![jump(code, yes, no, value), one(JUMP, distance(&block))];
    all.extend(block);
    all
}

/// Performs a block unless the loaded value is one of these.
pub fn unless_one_of(values: impl IntoIterator<Item = u32>, block: Block) -> Block {
    values.into_iter().fold(block, |block, value| {
        // As `when`, with the condition before what is there.
        when(If::IsNot(value), block)
    })
}

/// Performs a block if these words are at this place.
pub fn when_at(at: u32, words: &[u32; 4], block: Block) -> Block {
    // The last word differs most often.
    let places = (at..).step_by(4).zip(words);
    places.fold(block, |block, (place, value)| {
        [word(place), when(If::Is(*value), block)].concat()
    })
}

/// Performs a block unless these words are at this place.
pub fn unless_at(at: u32, words: &[u32; 4], block: Block) -> Block {
    let mut all = Block::new();
    for ((place, value), left) in (at..).step_by(4).zip(words).zip((0..4).rev()) {
        all.extend(word(place));
        all.push(jump(JUMP_IF_EQUAL, 1, 0, *value));
        all.push(one(JUMP, 3 * left + 1));
    }
    all.push(one(JUMP, distance(&block)));
    all.extend(block);
    all
}

fn distance(block: &Block) -> u32 {
    block.len() as u32
}

impl If {
    /// The instruction, its value, and whether the condition is that it jumps.
    fn parts(self) -> (u16, u32, bool) {
        match self {
            Self::Is(value) => (JUMP_IF_EQUAL, value, true),
            Self::IsNot(value) => (JUMP_IF_EQUAL, value, false),
            Self::AtLeast(value) => (JUMP_IF_AT_LEAST, value, true),
            Self::Below(value) => (JUMP_IF_AT_LEAST, value, false),
            Self::MoreThan(value) => (JUMP_IF_GREATER, value, true),
        }
    }
}

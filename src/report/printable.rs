//! Text of a container, for the terminal of a user of the host.
//!
//! Unfiltered, a container's text could control the terminal: set its title or its
//! clipboard, or make it answer, and the user's shell would take the answer for
//! typed input (`man 4 console_codes`).

use std::io::{self, IsTerminal, Write};

use anstyle_parse::{Params, Parser, Perform};

/// The text without escape sequences and control characters.
pub fn plain(text: &str) -> String {
    let mut passed = lines(text);
    passed.retain(|character| !character.is_control());
    passed
}

/// The text without escape sequences and control characters, except for ends of lines
/// and tabs.
pub fn lines(text: &str) -> String {
    let mut passed = Passed::default();
    pass(text, &mut Parser::default(), &mut passed);
    passed.text
}

/// Standard output for text of a container. A terminal gets no escape sequences other than
/// colours; another reader gets the text as it is, as from `cat`.
pub fn stdout() -> Box<dyn Write> {
    let stdout = io::stdout();
    if stdout.is_terminal() {
        return Box::new(Printable::new(stdout));
    }
    Box::new(stdout)
}

/// A writer that passes on text, ends of lines, tabs and colours, and nothing else.
/// When it is dropped, it takes the container's colours back.
#[derive(Debug)]
pub struct Printable<W: Write> {
    out: W,
    parser: Parser,
    /// The first bytes of a character that has not been written completely.
    held: Vec<u8>,
    coloured: bool,
}

impl<W: Write> Printable<W> {
    /// A filter before `out`.
    pub fn new(out: W) -> Self {
        Self {
            out,
            parser: Parser::default(),
            held: Vec::new(),
            coloured: false,
        }
    }
}

impl Printable<Vec<u8>> {
    /// Takes the text that has passed.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Takes the container's colours back, and the text that has passed.
    pub fn end(&mut self) -> Vec<u8> {
        if std::mem::take(&mut self.coloured) {
            self.out.extend(RESET);
        }
        self.take()
    }
}

impl<W: Write> Write for Printable<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        let last = self.held.utf8_chunks().last();
        let cut_off = last.map_or(0, |chunk| match std::str::from_utf8(chunk.invalid()) {
            Err(error) if error.error_len().is_none() => chunk.invalid().len(),
            _ => 0,
        });
        let held = self.held.split_off(self.held.len() - cut_off);
        let whole = std::mem::replace(&mut self.held, held);
        let mut passed = Passed {
            coloured: Some(&mut self.coloured),
            ..Passed::default()
        };
        pass(
            &String::from_utf8_lossy(&whole),
            &mut self.parser,
            &mut passed,
        );
        self.out.write_all(passed.text.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl<W: Write> Drop for Printable<W> {
    fn drop(&mut self) {
        if self.coloured {
            let _ = self.out.write_all(RESET);
        }
    }
}

/// Takes all colours back (ECMA-48, SGR).
const RESET: &[u8] = b"\x1b[0m";

fn pass(text: &str, parser: &mut Parser, passed: &mut Passed<'_>) {
    for byte in text.bytes() {
        if byte == b'\n' {
            // A sequence without an end would swallow the rest.
            *parser = Parser::default();
        }
        parser.advance(passed, byte);
    }
}

/// The part of a text that passes.
#[derive(Default)]
struct Passed<'a> {
    text: String,
    /// Whether it ends in a colour; `None` if colours do not pass.
    coloured: Option<&'a mut bool>,
}

impl Perform for Passed<'_> {
    fn print(&mut self, character: char) {
        if !character.is_control() {
            self.text.push(character);
        }
    }

    fn execute(&mut self, byte: u8) {
        if matches!(byte, b'\n' | b'\t') {
            self.text.push(byte.into());
        }
    }

    /// Of the control sequences (ECMA-48, 5.4), "select graphic rendition" passes.
    /// With other bytes before its `m`, a sequence means something else.
    fn csi_dispatch(&mut self, parameters: &Params, others: &[u8], cut_off: bool, last: u8) {
        let Some(coloured) = self.coloured.as_deref_mut() else {
            return;
        };
        if last != b'm' || !others.is_empty() || cut_off {
            return;
        }
        let join = |numbers: &[u16]| {
            numbers
                .iter()
                .map(u16::to_string)
                .collect::<Vec<_>>()
                .join(":")
        };
        let parameters = parameters.iter().map(join).collect::<Vec<_>>().join(";");
        *coloured = parameters != "0";
        self.text.extend(["\x1b[", &parameters, "m"]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The text that passes, written in pieces of this many bytes.
    fn passed(text: &[u8], piece: usize) -> String {
        let mut out = Vec::new();
        let mut printable = Printable::new(&mut out);
        for piece in text.chunks(piece) {
            printable.write_all(piece).expect("a vector");
        }
        drop(printable);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn text_and_colours_pass_and_nothing_that_steers_a_terminal() {
        for (text, shown) in [
            (&b"a\tb\r\n\xc3\xa4\n"[..], "a\tb\n\u{e4}\n"),
            (
                b"[\x1b[0;1;32m  OK  \x1b[0m] x",
                "[\x1b[0;1;32m  OK  \x1b[0m] x",
            ),
            (b"\x1b[31mred", "\x1b[31mred\x1b[0m"),
            // Titles and clipboards, ended and not.
            (b"a\x1b]0;title\x07b\x1b]52;c;eA==\x1b\\c", "abc"),
            (b"\x1b]0;title\nnext", "\nnext"),
            (b"\x1bP1$r\x1b\\a\x9c\xc2\x9b5n", "a\u{fffd}5n"),
            // Questions that a terminal answers, and what moves or clears.
            (b"a\x1b[6n\x1b[c\x1b[2J\x1b[H\x1bc\x1b(B\x1b#8\x05b", "ab"),
            // No colours, though they end like one.
            (b"\x1b[>4;2m\x1b[?4m\x1b[1 m", ""),
            (b"over\x08\x08\rwrite\x7f", "overwrite"),
            (b"cut off \x1b[3", "cut off "),
            (b"\x1b[3\nnext", "\nnext"),
        ] {
            for piece in [1, 2, 100] {
                assert_eq!(passed(text, piece), shown, "{text:?}");
            }
        }
    }

    #[test]
    fn plain_text_has_neither_sequences_nor_control_characters() {
        for (text, shown) in [
            (
                "[\x1b[0;32m  OK  \x1b[0m] Reached target\r",
                "[  OK  ] Reached target",
            ),
            ("\x1b]0;title\x07text", "text"),
            ("a\x1b[2J\x1b[Hb\u{9b}2Jc\x08\x7f\t", "ab2Jc"),
            ("cut off \x1b[", "cut off "),
            ("cut off \x1b]0;", "cut off "),
            ("\x1bP1$r\x1b\\a\x1bcb", "ab"),
        ] {
            assert_eq!(plain(text), shown, "{text:?}");
        }
    }

    #[test]
    fn lines_keep_their_ends_and_tabs() {
        assert_eq!(
            lines("a\tb\r\n\x1b[31mc\x1b[2J\x1b]0;title\nd\x07"),
            "a\tb\nc\nd"
        );
    }

    proptest! {
        #[test]
        fn no_text_steers_a_terminal(
            text in "(\x1b[\\[\\]P_(]?|[0-9;:?]{1,3}|[mhc\x07\x18\u{9b}]|\n|.|\u{e4})*",
            cut in 0_usize..4,
        ) {
            // Characters may come cut off, too.
            crate::checks::printable(text.as_bytes().get(cut..).unwrap_or_default());
        }
    }
}

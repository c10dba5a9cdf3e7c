//! Text of a container, for the terminal of a user of the host.
//!
//! Written as it is, a container's words could steer the terminal: set its
//! title or its clipboard, or have it answer, which the user's shell would take
//! for typed (`man 4 console_codes`).

use std::io::{self, Write};

/// Lets text, the ends of lines, tabs and colours through, and nothing else.
/// Text after this has no colour of the container's.
#[derive(Debug)]
pub struct Printable<W: Write> {
    out: W,
    place: Place,
    /// The bytes of a character that has not come whole.
    held: Vec<u8>,
    coloured: bool,
}

/// Where in a sequence (ECMA-48, 5.3 to 5.6) the next character is.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Text,
    /// After ESC.
    Escape,
    /// After ESC and characters that only a further one ends.
    Intermediate,
    /// In a control sequence (`ESC [`), with its parameters.
    Control(String),
    /// In a string, such as a title.
    String,
}

/// Longest parameters of a colour, in bytes; more are cut off with it.
const LONGEST: usize = 64;

impl<W: Write> Printable<W> {
    /// What is written goes there.
    pub fn new(out: W) -> Self {
        Self {
            out,
            place: Place::Text,
            held: Vec::new(),
            coloured: false,
        }
    }

    /// The part of some characters that is let through.
    fn filter(&mut self, text: &str) -> String {
        let mut passed = String::new();
        for character in text.chars() {
            self.place = self.next(character, &mut passed);
        }
        passed
    }

    /// The place after this character, of which what may pass is added to
    /// `passed`.
    fn next(&mut self, character: char, passed: &mut String) -> Place {
        let place = std::mem::replace(&mut self.place, Place::Text);
        match (place, character) {
            (_, '\x1b') => Place::Escape,
            (Place::Escape, '[') => Place::Control(String::new()),
            // OSC, DCS, SOS, PM, APC.
            (Place::Escape, ']' | 'P' | 'X' | '^' | '_') => Place::String,
            (Place::Escape | Place::Intermediate, ' '..='/') => Place::Intermediate,
            (Place::Escape | Place::Intermediate, '0'..='~') => Place::Text,
            (Place::Control(parameters), 'm') => {
                self.colour(&parameters, passed);
                Place::Text
            }
            (Place::Control(_), '@'..='~') => Place::Text,
            (Place::Control(mut parameters), ' '..='?') => {
                if parameters.len() < LONGEST {
                    parameters.push(character);
                }
                Place::Control(parameters)
            }
            (Place::String, '\x07' | '\u{9c}') => Place::Text,
            // One that is never ended would swallow the rest.
            (Place::String, character) if character != '\n' => Place::String,
            (_, character) => {
                if !character.is_control() || matches!(character, '\n' | '\t') {
                    passed.push(character);
                }
                Place::Text
            }
        }
    }

    /// "Select graphic rendition". With other parameters, `m` has other meanings.
    fn colour(&mut self, parameters: &str, passed: &mut String) {
        let plain = |character: char| matches!(character, '0'..='9' | ';' | ':');
        if parameters.len() < LONGEST && parameters.chars().all(plain) {
            passed.push_str("\x1b[");
            passed.push_str(parameters);
            passed.push('m');
            self.coloured = !matches!(parameters, "" | "0");
        }
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
        let passed = self.filter(&String::from_utf8_lossy(&whole));
        self.out.write_all(passed.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl<W: Write> Drop for Printable<W> {
    fn drop(&mut self) {
        if self.coloured {
            let _ = self.out.write_all(b"\x1b[0m");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What passes of a text that comes in pieces of this many bytes.
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
}

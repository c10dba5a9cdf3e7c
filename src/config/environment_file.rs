//! The syntax of systemd's `EnvironmentFile=` (`man 5 systemd.exec`).

use std::ops::Range;

/// One assignment of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The line it begins on, from 1.
    pub line: usize,
    /// The text left of the first `=`.
    pub key: String,
    /// The text right of it, without its quotes.
    pub value: String,
    /// Its bytes in the file, with the end of its last line.
    pub span: Range<usize>,
}

/// Why a file cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

/// The assignments of a file, in the order of its lines.
pub fn parse(text: &str) -> Result<Vec<Assignment>, SyntaxError> {
    let mut assignments = Vec::new();
    let mut reader = Reader {
        whole: text.len(),
        rest: text,
        line: 1,
    };
    while let Some(first) = reader.peek() {
        match first {
            '#' | ';' => reader.skip_line(),
            c if c.is_whitespace() => {
                reader.next();
            }
            _ => assignments.push(reader.assignment()?),
        }
    }
    Ok(assignments)
}

/// The file with another value for a key, or without the key if `None`. The new line
/// is where the last assignment was, which is the one that counts; else at the end.
pub fn set(text: &str, key: &str, value: Option<&str>) -> Result<String, SyntaxError> {
    let old: Vec<_> = parse(text)?.into_iter().filter(|a| a.key == key).collect();
    if let [only] = &old[..]
        && Some(only.value.as_str()) == value
    {
        return Ok(text.to_owned());
    }
    let line = value.map_or_else(String::new, |value| format!("{key}={}\n", quote(value)));
    let mut changed = String::new();
    let mut end = 0;
    for (assignment, place) in old.iter().zip(1..) {
        changed.push_str(&text[end..assignment.span.start]);
        if place == old.len() {
            changed.push_str(&line);
        }
        end = assignment.span.end;
    }
    changed.push_str(&text[end..]);
    if old.is_empty() && !line.is_empty() {
        if !changed.is_empty() && !changed.ends_with('\n') {
            changed.push('\n');
        }
        changed.push_str(&line);
    }
    Ok(changed)
}

/// Quotes a value so that [`parse`] reads it back.
pub fn quote(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=+@%".contains(c);
    if value.chars().all(plain) {
        return value.to_owned();
    }
    let mut quoted = String::from('"');
    for c in value.chars() {
        if matches!(c, '"' | '\\' | '`' | '$') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

/// As much of a line as an error shows.
fn excerpt(line: &str) -> String {
    line.chars().take(80).collect()
}

struct Reader<'a> {
    /// The length of the text in bytes.
    whole: usize,
    rest: &'a str,
    line: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.rest = &self.rest[next.len_utf8()..];
        if next == '\n' {
            self.line += 1;
        }
        Some(next)
    }

    fn skip_line(&mut self) {
        while self.next().is_some_and(|c| c != '\n') {}
    }

    /// The number of bytes that have been read.
    fn offset(&self) -> usize {
        self.whole - self.rest.len()
    }

    fn assignment(&mut self) -> Result<Assignment, SyntaxError> {
        let line = self.line;
        let start = self.offset();
        let error = |problem: String| SyntaxError { line, problem };
        let mut key = String::new();
        loop {
            match self.next() {
                Some('=') => break,
                Some('\n') | None => return Err(error(format!("{:?} has no =", excerpt(&key)))),
                Some(c) => key.push(c),
            }
        }
        let key = key.trim().to_owned();
        if key.is_empty() || !key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(error(format!("{:?} is not a valid key", excerpt(&key))));
        }
        match self.value() {
            Some(value) => Ok(Assignment {
                line,
                key,
                value,
                span: start..self.offset(),
            }),
            None => Err(error(format!("{key} has a quote that does not end"))),
        }
    }

    /// Reads up to the end of the line; `None` if a quote does not end.
    fn value(&mut self) -> Option<String> {
        let mut value = String::new();
        // White space at the end counts only in quotes.
        let mut significant = 0;
        while matches!(self.peek(), Some(' ' | '\t')) {
            self.next();
        }
        while let Some(c) = self.next() {
            match c {
                '\n' => break,
                '\'' | '"' => {
                    self.quoted(c, &mut value)?;
                    significant = value.len();
                }
                '\\' => {
                    if let Some(escaped) = self.next().filter(|c| *c != '\n') {
                        value.push(escaped);
                        significant = value.len();
                    }
                }
                c => {
                    value.push(c);
                    if !c.is_whitespace() {
                        significant = value.len();
                    }
                }
            }
        }
        value.truncate(significant);
        Some(value)
    }

    fn quoted(&mut self, quote: char, value: &mut String) -> Option<()> {
        loop {
            match self.next()? {
                c if c == quote => return Some(()),
                '\\' if quote == '"' => match self.next()? {
                    '\n' => {}
                    c if "\"\\`$".contains(c) => value.push(c),
                    c => value.extend(['\\', c]),
                },
                c => value.push(c),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values(text: &str) -> Vec<(usize, String, String)> {
        parse(text)
            .expect("valid")
            .into_iter()
            .map(|a| (a.line, a.key, a.value))
            .collect()
    }

    fn value(text: &str) -> String {
        values(text).remove(0).2
    }

    #[test]
    fn lines_are_assignments_comments_or_empty() {
        assert_eq!(
            values("# c\n\n; c\nA=1\n  B=2\nC="),
            [
                (4, "A".to_owned(), "1".to_owned()),
                (5, "B".to_owned(), "2".to_owned()),
                (6, "C".to_owned(), String::new()),
            ]
        );
    }

    #[test]
    fn quotes_and_escapes_are_those_of_systemd() {
        assert_eq!(value("A=one two  \n"), "one two");
        assert_eq!(value("A=\"one two  \"\n"), "one two  ");
        assert_eq!(value("A='a \"b\" \\n'"), "a \"b\" \\n");
        assert_eq!(value(r#"A="\$x \"y\" \n""#), r#"$x "y" \n"#);
        assert_eq!(value("A=a\\\nb"), "ab");
        assert_eq!(value("A=\"a\nb\""), "a\nb");
    }

    #[test]
    fn broken_line_is_named() {
        assert_eq!(parse("A=1\nnonsense\n").expect_err("broken").line, 2);
        assert_eq!(parse("A=1\n\nB='x\n").expect_err("broken").line, 3);
        assert_eq!(parse("=x").expect_err("broken").line, 1);
        assert_eq!(parse("A B=x").expect_err("broken").line, 1);
        let long = parse(&"x".repeat(1 << 20)).expect_err("broken").problem;
        assert!(long.len() < 100, "{long}");
    }

    #[test]
    fn set_changes_one_value_and_nothing_else() {
        let text = "# mine\nA=1\n  B=2 \n\nA='3'\n# end";
        let set = |key, value| set(text, key, value).expect("valid");
        assert_eq!(set("A", Some("4")), "# mine\n  B=2 \n\nA=4\n# end");
        assert_eq!(set("A", None), "# mine\n  B=2 \n\n# end");
        assert_eq!(set("B", Some("2")), text);
        assert_eq!(set("B", Some("a b")), text.replace("B=2 ", "B=\"a b\""));
        assert_eq!(set("C", Some("5")), format!("{text}\nC=5\n"));
        assert_eq!(set("C", None), text);
    }

    proptest! {
        #[test]
        fn quoted_value_is_read_back(value in "[^\0]*") {
            let text = format!("KEY={}\nNEXT=1\n", quote(&value));
            let read = parse(&text).expect("quoted");
            prop_assert_eq!(&read[0].value, &value);
            prop_assert_eq!(read.len(), 2);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".*") {
            let _ = parse(&text);
        }
    }
}

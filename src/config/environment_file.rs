//! The syntax of systemd's `EnvironmentFile=` (`man 5 systemd.exec`).

/// One assignment of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The line it begins on, from 1.
    pub line: usize,
    /// Left of the first `=`.
    pub key: String,
    /// Right of it, without its quotes.
    pub value: String,
}

/// Why a file cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

/// The assignments of a file, in their order.
pub fn parse(text: &str) -> Result<Vec<Assignment>, SyntaxError> {
    let mut assignments = Vec::new();
    let mut reader = Reader {
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

/// A value as [`parse`] reads it back.
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

struct Reader<'a> {
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

    fn assignment(&mut self) -> Result<Assignment, SyntaxError> {
        let line = self.line;
        let error = |problem: String| SyntaxError { line, problem };
        let mut key = String::new();
        loop {
            match self.next() {
                Some('=') => break,
                Some('\n') | None => return Err(error(format!("{key:?} has no ="))),
                Some(c) => key.push(c),
            }
        }
        let key = key.trim().to_owned();
        if key.is_empty() || !key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(error(format!("{key:?} is no name of a key")));
        }
        match self.value() {
            Some(value) => Ok(Assignment { line, key, value }),
            None => Err(error(format!("{key} has a quote that does not end"))),
        }
    }

    /// Up to the end of the line; `None` if a quote does not end.
    fn value(&mut self) -> Option<String> {
        let mut value = String::new();
        // White space at the end counts only inside of quotes.
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
    fn a_broken_line_is_named() {
        assert_eq!(parse("A=1\nnonsense\n").expect_err("broken").line, 2);
        assert_eq!(parse("A=1\n\nB='x\n").expect_err("broken").line, 3);
        assert_eq!(parse("=x").expect_err("broken").line, 1);
        assert_eq!(parse("A B=x").expect_err("broken").line, 1);
    }

    proptest! {
        #[test]
        fn quoted_values_are_read_back(value in "[^\0]*") {
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

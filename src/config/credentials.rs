//! Credentials for init (`man 1 systemd-nspawn`, "Credentials").

use std::path::PathBuf;

use runtime::Secret;

use super::error::Parsed;

/// A credential that the container's init gets.
#[derive(Debug, Clone, PartialEq)]
pub struct Credential {
    /// Its name inside the container.
    pub id: String,
    /// Its source.
    pub source: CredentialSource,
}

/// The source of a credential.
#[derive(Debug, Clone, PartialEq)]
pub enum CredentialSource {
    /// A value in the configuration.
    Value(Secret),
    /// A file of the host.
    File(PathBuf),
    /// The supervisor's own credential of this name, which it has from systemd
    /// (`LoadCredential=` of `man 5 systemd.exec`).
    Own(String),
}

impl Credential {
    /// The value of `--set-credential=`.
    pub fn set(text: &str) -> Parsed<Self> {
        let expected = "NAME:VALUE with a NAME that can be a file name, and with escapes of C in VALUE, as \
                        \\x20 for a blank";
        let (id, value) = text.split_once(':').ok_or(expected)?;
        Ok(Self {
            id: file_name(id).ok_or(expected)?,
            source: CredentialSource::Value(Secret::from(unescape(value).ok_or(expected)?)),
        })
    }

    /// The value of `--load-credential=`.
    pub fn load(text: &str) -> Parsed<Self> {
        let expected = "NAME:PATH with a NAME that can be a file name, and with an absolute path or the \
                        name of a credential of the supervisor";
        let (id, path) = text.split_once(':').ok_or(expected)?;
        let source = if path.starts_with('/') {
            CredentialSource::File(PathBuf::from(path))
        } else {
            CredentialSource::Own(file_name(path).ok_or(expected)?)
        };
        Ok(Self {
            id: file_name(id).ok_or(expected)?,
            source,
        })
    }
}

/// A valid name by systemd's `credential_name_valid`.
fn file_name(text: &str) -> Option<String> {
    let valid = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':');
    let valid = !matches!(text, "" | "." | "..") && text.len() < 256 && text.bytes().all(valid);
    valid.then(|| text.to_owned())
}

/// The escapes of C, and `\s` for a blank, as systemd's `cunescape` reads them.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let letter = escape.chars().next()?;
        let behind = &escape[letter.len_utf8()..];
        let plain = |byte| (vec![byte], behind);
        let (unescaped, behind) = match letter {
            'a' => plain(0x07),
            'b' => plain(0x08),
            'f' => plain(0x0c),
            'n' => plain(b'\n'),
            'r' => plain(b'\r'),
            't' => plain(b'\t'),
            'v' => plain(0x0b),
            's' => plain(b' '),
            '\\' | '"' | '\'' => plain(letter as u8),
            'x' => {
                let (number, behind) = digits(behind, 2, 16)?;
                (vec![u8::try_from(number).ok()?], behind)
            }
            '0'..='7' => {
                let (number, behind) = digits(escape, 3, 8)?;
                (vec![u8::try_from(number).ok()?], behind)
            }
            'u' | 'U' => {
                let length = if letter == 'u' { 4 } else { 8 };
                let (number, behind) = digits(behind, length, 16)?;
                (char::from_u32(number)?.to_string().into_bytes(), behind)
            }
            _ => return None,
        };
        bytes.extend(unescaped);
        rest = behind;
    }
    bytes.extend_from_slice(rest.as_bytes());
    Some(bytes)
}

/// A number with this many digits, and the text after it.
fn digits(text: &str, length: usize, radix: u32) -> Option<(u32, &str)> {
    let (number, behind) = text.split_at_checked(length)?;
    // `from_str_radix` accepts a sign.
    let valid = number.chars().all(|digit| digit.is_digit(radix));
    let number = u32::from_str_radix(number, radix).ok().filter(|_| valid)?;
    Some((number, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_has_the_escapes_of_c() {
        for (text, value) in [
            ("plain", b"plain".as_slice()),
            ("", b""),
            (r"a\x20b\n", b"a b\n"),
            (r#"\\\"\'\s\t"#, b"\\\"' \t"),
            (r"\000\377", b"\0\xff"),
            (r"\u00e4\U0001f600", "ä😀".as_bytes()),
            ("ä:b", "ä:b".as_bytes()),
        ] {
            assert_eq!(unescape(text).as_deref(), Some(value), "{text}");
        }
        for bad in [
            "\\", r"\q", r"\x1", r"\x+1", r"\xg0", r"\400", r"\08", r"\ud800", "\\xä", "\\ä",
        ] {
            assert_eq!(unescape(bad), None, "{bad}");
        }
    }

    #[test]
    fn name_is_one_of_a_file() {
        let long = "n".repeat(256);
        assert!(Credential::set("a.b-c_d@e:x").is_ok());
        for bad in ["", "x", ":x", ".:x", "..:x", "a/b:x", "ä:x", "\x01:x"] {
            assert!(Credential::set(bad).is_err(), "{bad}");
            assert!(Credential::load(bad).is_err(), "{bad}");
        }
        assert!(Credential::set(&format!("{long}:x")).is_err());
    }

    #[test]
    fn load_takes_a_file_or_a_credential_of_the_supervisor() {
        let source = |text| Credential::load(text).map(|credential| credential.source);
        assert_eq!(
            source("a:/etc/b:c"),
            Ok(CredentialSource::File("/etc/b:c".into()))
        );
        assert_eq!(source("a:b"), Ok(CredentialSource::Own("b".to_owned())));
        assert!(source("a:b/c").is_err());
        assert!(source("a:").is_err());
    }
}

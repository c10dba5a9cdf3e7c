//! The syntax of mount flags: fields separated by colons, options by commas.

use std::path::{Component, Path, PathBuf};

use runtime::Attributes;

/// The field before the first colon, and the rest after it. A backslash makes the next
/// character an ordinary one; at the end of the text it is an error (`None`).
pub(super) fn field(text: &str) -> Option<(String, Option<&str>)> {
    let mut field = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            ':' => return Some((field, Some(rest.as_str()))),
            '\\' => field.push(rest.next()?),
            c => field.push(c),
        }
    }
    Some((field, None))
}

/// All fields of a text.
pub(super) fn fields(text: &str) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut rest = Some(text);
    while let Some(text) = rest {
        let (field, next) = field(text)?;
        fields.push(field);
        rest = next;
    }
    Some(fields)
}

/// The words of a list of options.
pub(super) fn words(options: Option<&str>) -> impl Iterator<Item = &str> {
    let words = options.into_iter().flat_map(|options| options.split(','));
    words.filter(|word| !word.is_empty())
}

/// The path, if it is absolute and has no `..`: mounts are sorted by their paths.
pub(super) fn absolute(text: &str) -> Option<PathBuf> {
    let path = Path::new(text);
    let plain = |component| component != Component::ParentDir;
    (path.is_absolute() && path.components().all(plain)).then(|| path.components().collect())
}

/// The path, unless it is the root, for which `--volatile` and the like exist.
pub(super) fn below_root(path: PathBuf) -> Option<PathBuf> {
    (path != Path::new("/")).then_some(path)
}

/// Adds an option that restricts a mount to its attributes; `false` if it is another
/// option.
pub(super) fn restrict(attributes: &mut Attributes, word: &str) -> bool {
    match word {
        "ro" => attributes.read_only = true,
        "nosuid" => attributes.no_suid = true,
        "nodev" => attributes.no_devices = true,
        "noexec" => attributes.no_exec = true,
        _ => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colon_after_a_backslash_belongs_to_the_path() {
        assert_eq!(field("a:b:c"), Some(("a".to_owned(), Some("b:c"))));
        assert_eq!(field(r"a\:b\\c:"), Some((r"a:b\c".to_owned(), Some(""))));
        assert_eq!(field(r"a\"), None);
        assert_eq!(field(""), Some((String::new(), None)));
    }
}

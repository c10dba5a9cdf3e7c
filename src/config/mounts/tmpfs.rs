//! The options of a file system in memory (`man 5 tmpfs`).

use runtime::Attributes;

use super::fields::{restrict, words};
use crate::config::error::Parsed;

pub(super) const EXPECTED: &str = "options of size=SIZE, nr_blocks=NUMBER, nr_inodes=NUMBER, mode=OCTAL, \
                        uid=NUMBER, gid=NUMBER, huge=never, always, within_size or advise, noswap, \
                        inode32, inode64, ro, nosuid, nodev, noexec after its first colon, as \
                        size=100m,mode=0700";

/// Attributes of a mount, and the parameters of its file system. The value is empty if
/// a parameter takes none.
type Options = (Attributes, Vec<(String, String)>);

/// Parses a list of options. Device nodes never have an effect. If the list is empty,
/// only root may write; otherwise the kernel's default holds, by which all users may.
pub fn options(text: Option<&str>) -> Parsed<Options> {
    let mut attributes = Attributes::NONE;
    attributes.no_devices = true;
    let mut parameters = Vec::new();
    for word in words(text) {
        if restrict(&mut attributes, word) {
            continue;
        }
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        if !fits(key, word.strip_prefix(key).unwrap_or_default()) {
            return Err(EXPECTED);
        }
        parameters.push((key.to_owned(), value.to_owned()));
    }
    if text.is_none_or(str::is_empty) {
        parameters.push(("mode".to_owned(), "0755".to_owned()));
    }
    Ok((attributes, parameters))
}

/// Whether the kernel accepts the text after a key: empty, or an equals sign and a
/// value.
fn fits(key: &str, rest: &str) -> bool {
    let value = rest.strip_prefix('=');
    match (key, value) {
        ("size", Some(size)) => match size.strip_suffix('%') {
            Some(percentage) => number(percentage),
            None => number(size.trim_end_matches(UNITS)),
        },
        ("nr_blocks" | "nr_inodes", Some(count)) => number(count.trim_end_matches(UNITS)),
        ("mode", Some(mode)) => u32::from_str_radix(mode, 8).is_ok_and(|mode| mode <= 0o7777),
        ("uid" | "gid", Some(id)) => number(id) && id.parse::<u32>().is_ok(),
        ("huge", Some(when)) => ["never", "always", "within_size", "advise"].contains(&when),
        ("noswap" | "inode32" | "inode64", None) => true,
        _ => false,
    }
}

/// Powers of 1024.
const UNITS: [char; 12] = ['k', 'K', 'm', 'M', 'g', 'G', 't', 'T', 'p', 'P', 'e', 'E'];

fn number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    const NO_DEVICES: Attributes = Attributes {
        no_devices: true,
        ..Attributes::NONE
    };

    #[test]
    fn without_options_only_root_may_write() {
        for text in [None, Some("")] {
            assert_eq!(options(text), Ok((NO_DEVICES, vec![pair("mode", "0755")])));
        }
        assert_eq!(options(Some("nodev")), Ok((NO_DEVICES, vec![])));
    }

    #[test]
    fn options_are_attributes_or_parameters() {
        let read_only = Attributes {
            read_only: true,
            ..NO_DEVICES
        };
        let all = "size=10%,ro,nr_inodes=4k,mode=1777,uid=1000,huge=advise,noswap";
        let parameters = vec![
            pair("size", "10%"),
            pair("nr_inodes", "4k"),
            pair("mode", "1777"),
            pair("uid", "1000"),
            pair("huge", "advise"),
            pair("noswap", ""),
        ];
        assert_eq!(options(Some(all)), Ok((read_only, parameters)));
    }

    #[test]
    fn options_that_the_kernel_refuses_are_refused() {
        for word in [
            "size",
            "size=",
            "size=%",
            "size=m",
            "size=1x",
            "size=-1",
            "mode=8",
            "mode=10000",
            "uid=root",
            "gid=+1",
            "uid=4294967296",
            "huge=yes",
            "noswap=",
            "noswap=1",
            "sync",
        ] {
            assert_eq!(options(Some(word)), Err(EXPECTED), "{word}");
        }
    }
}

//! The links of one profile that is changed at two places.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The links of a profile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links {
    /// The targets of its generations, by number.
    pub generations: BTreeMap<u64, PathBuf>,
    /// The number of the current generation.
    pub current: Option<u64>,
}

/// Merges the changes that were made on the host and inside since both had the links
/// `base`. Where both have changed the same, the host's change holds, and a generation
/// of the container's gets another number. The current generation always stays.
pub fn merge(base: &Links, host: &Links, inside: &Links) -> Links {
    let all = [base, host, inside].map(|links| links.generations.keys().copied());
    let numbers: BTreeSet<u64> = all.into_iter().flatten().collect();
    let mut merged = Links::default();
    let mut displaced = BTreeMap::new();
    for number in numbers {
        let [before, host, inside] =
            [base, host, inside].map(|links| links.generations.get(&number));
        let target = if inside == before {
            host
        } else if host == before || host.is_none() {
            inside
        } else {
            displaced.extend(inside.filter(|_| inside != host).map(|path| (number, path)));
            host
        };
        merged
            .generations
            .extend(target.map(|target| (number, target.clone())));
    }
    let mut inside_current = inside.current;
    for (number, path) in displaced {
        let last = merged.generations.keys().next_back().copied();
        if let Some(free) = last.unwrap_or(0).checked_add(1) {
            merged.generations.insert(free, path.clone());
            if inside.current == Some(number) {
                inside_current = Some(free);
            }
        }
    }
    merged.current = match (host.current, inside_current) {
        (host, None) => host,
        (None, inside) => inside,
        (host, inside) if host == base.current => inside,
        (host, _) => host,
    };
    if let Some(number) = merged.current {
        let target = [host, inside].into_iter().find_map(|links| {
            let target = links.generations.get(&number);
            target.filter(|_| links.current == merged.current)
        });
        if let Some(target) = target {
            merged
                .generations
                .entry(number)
                .or_insert_with(|| target.clone());
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(generations: &[(u64, &str)], current: u64) -> Links {
        Links {
            generations: generations.iter().map(|(n, t)| (*n, t.into())).collect(),
            current: (current != 0).then_some(current),
        }
    }

    #[test]
    fn a_change_at_either_place_is_taken_over() {
        let base = links(&[(1, "/a"), (2, "/b")], 2);
        for changed in [
            links(&[(1, "/a"), (2, "/b"), (3, "/c")], 3),
            links(&[(1, "/a"), (2, "/b")], 1),
            links(&[(2, "/b")], 2),
            links(&[(1, "/x"), (2, "/b")], 1),
        ] {
            assert_eq!(merge(&base, &base, &changed), changed);
            assert_eq!(merge(&base, &changed, &base), changed);
            assert_eq!(merge(&base, &changed, &changed), changed);
        }
    }

    #[test]
    fn changes_at_both_places_end_in_one_order() {
        let base = links(&[(1, "/a")], 1);
        let host = links(&[(1, "/a"), (2, "/h")], 2);
        let inside = links(&[(1, "/a"), (2, "/i")], 2);
        let merged = links(&[(1, "/a"), (2, "/h"), (3, "/i")], 2);
        assert_eq!(merge(&base, &host, &inside), merged);
        // The container has switched to its generation, the host to none.
        let host = links(&[(1, "/a"), (2, "/h")], 1);
        let merged = links(&[(1, "/a"), (2, "/h"), (3, "/i")], 3);
        assert_eq!(merge(&base, &host, &inside), merged);
        // Removed on the host, current inside.
        let base = links(&[(1, "/a"), (2, "/b")], 2);
        let (host, inside) = (links(&[(2, "/b")], 2), links(&[(1, "/a"), (2, "/b")], 1));
        assert_eq!(merge(&base, &host, &inside), inside);
    }

    #[test]
    fn the_current_generation_outlives_both() {
        let base = links(&[(1, "/a"), (2, "/b")], 2);
        let nothing = Links::default();
        let current = links(&[(2, "/b")], 2);
        assert_eq!(merge(&base, &base, &nothing), current);
        assert_eq!(merge(&base, &nothing, &base), current);
        assert_eq!(merge(&nothing, &base, &nothing), base);
        assert_eq!(merge(&nothing, &nothing, &base), base);
        let last = links(&[(u64::MAX, "/b")], u64::MAX);
        let other = links(&[(u64::MAX, "/c")], u64::MAX);
        assert_eq!(merge(&nothing, &last, &other), last);
    }
}

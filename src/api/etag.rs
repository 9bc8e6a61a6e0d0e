//! Entity tags (RFC 9110, 8.8.3). A caller that has read a thing asks again with the tag of what it
//! read, and is told only what changed.
//!
//! The crate `headers` reads them too, but a blank within a tag makes it panic in a debug build,
//! and any caller can send one.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// The weak tag of a representation: what is told beside it may differ.
pub(super) fn tag(representation: &impl Serialize) -> String {
    // A thing that cannot be written is refused when it is answered; its tag matches nothing.
    let bytes = serde_json::to_vec(representation).unwrap_or_default();
    let digest = Sha256::digest(&bytes);
    let half: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("W/\"{half}\"")
}

/// Whether `If-None-Match` names this tag, by the weak comparison: then there is nothing new.
pub(super) fn is_known(if_none_match: Option<&str>, tag: &str) -> bool {
    // Our tags have no commas, so a tag that has one may be cut into pieces.
    let mut named = if_none_match.unwrap_or_default().split(',').map(str::trim);
    named.any(|one| one == "*" || opaque(one) == opaque(tag))
}

/// Whether `If-Match` names this tag, or anything that is there; `None`: nothing is. The tags are
/// weak, and are compared so: they are about what a change changes, and leave out what changes by
/// itself beside it.
pub(super) fn matches(if_match: &str, tag: Option<&str>) -> bool {
    tag.is_some_and(|tag| is_known(Some(if_match), tag))
}

fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_in_a_list() {
        let (tag, other) = (tag(&1), tag(&2));
        assert_ne!(tag, other);
        assert!(tag.len() == 36 && tag.starts_with("W/\"") && tag.ends_with('"'), "{tag}");
        let strong = opaque(&tag).to_owned();
        let behind_others = format!("\"a, b\", {other}, {tag}");
        for header in [behind_others, strong, "*".into()] {
            assert!(is_known(Some(&header), &tag), "{header}");
        }
        for header in [&other, "", "no tag", "\"a b\""] {
            assert!(!is_known(Some(header), &tag), "{header}");
        }
        assert!(!is_known(None, &tag));
        assert!(matches("*", Some(&tag)) && matches(&tag, Some(&tag)));
        assert!(!matches("*", None) && !matches(&other, Some(&tag)));
    }
}

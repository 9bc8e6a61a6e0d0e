//! Takes a JSON text apart as far as it is needed. A body of some megabytes can have millions of
//! members or items, and each of them would cost several times its bytes. So those that no answer
//! speaks of are counted but not kept.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Unknown members beyond this are counted, but neither kept nor listed one by one.
const MAX_UNKNOWN: usize = 50;
/// Two tell that a known member is there more than once.
const MAX_OF_ONE_NAME: usize = 2;

/// The members of an object.
pub(super) struct Members<'a> {
    kept: Vec<(Cow<'a, str>, &'a RawValue)>,
    unknown: usize,
}

impl<'a> Members<'a> {
    /// Of the object in `text`, which has passed the JSON check. `None`: it is another value.
    pub(super) fn read(text: &'a str, known: &'static [&'static str]) -> Option<Self> {
        Known(known).deserialize(&mut serde_json::Deserializer::from_str(text)).ok()
    }

    /// The names that are not among the known ones, the first [`MAX_UNKNOWN`] of them.
    pub(super) fn unknown(&self, known: &[&str]) -> impl Iterator<Item = &str> {
        self.kept.iter().map(|(name, _)| &**name).filter(move |name| !known.contains(name))
    }

    /// How many more unknown names there are.
    pub(super) fn more_unknown(&self) -> usize {
        self.unknown.saturating_sub(MAX_UNKNOWN)
    }

    /// The values of the members of this name.
    pub(super) fn of(&self, name: &str) -> impl Iterator<Item = &'a RawValue> {
        self.kept.iter().filter(move |(member, _)| member == name).map(|(_, value)| *value)
    }
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Reads the members of an object that may have these names.
struct Known(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Known {
    type Value = Members<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Known {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Members { kept: Vec::new(), unknown: 0 };
        while let Some((Name(name), value)) = map.next_entry()? {
            let keep = if self.0.contains(&&*name) {
                members.of(&name).count() < MAX_OF_ONE_NAME
            } else {
                members.unknown += 1;
                members.unknown <= MAX_UNKNOWN
            };
            if keep {
                members.kept.push((name, value));
            }
        }
        Ok(members)
    }
}

/// The first items of a list, each as its JSON text, and how many it has.
#[derive(Debug, Default)]
pub struct Items<'a> {
    pub first: Vec<&'a str>,
    pub count: usize,
}

impl<'a> Items<'a> {
    /// Of the array in `text`, which has passed the JSON check: `most` are kept. `None`: it is
    /// another value.
    pub fn of(text: &'a str, most: usize) -> Option<Self> {
        Most(most).deserialize(&mut serde_json::Deserializer::from_str(text)).ok()
    }

    /// Adds an item, which is kept if it is among the first `most`.
    pub fn add(&mut self, item: &'a str, most: usize) {
        if self.first.len() < most {
            self.first.push(item);
        }
        self.count += 1;
    }
}

/// Reads an array of which so many items are kept.
struct Most(usize);

impl<'de> DeserializeSeed<'de> for Most {
    type Value = Items<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Most {
    type Value = Items<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Items::default();
        while items.first.len() < self.0 {
            match seq.next_element::<&RawValue>()? {
                Some(item) => items.add(item.get(), self.0),
                None => return Ok(items),
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {
            items.count += 1;
        }
        Ok(items)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn of_millions_only_those_that_an_answer_speaks_of_are_kept() {
        let text = format!(r#"{{{}"queue":"a"}}"#, r#""queue":1,"no":2,"#.repeat(100_000));
        let members = Members::read(&text, &["queue"]).unwrap();
        assert_eq!(members.of("queue").count(), MAX_OF_ONE_NAME);
        assert_eq!(members.unknown(&["queue"]).count(), MAX_UNKNOWN);
        assert_eq!(members.more_unknown(), 100_000 - MAX_UNKNOWN);
        let text = format!("[{}3]", "1, ".repeat(100_000));
        let items = Items::of(&text, 2).unwrap();
        assert_eq!((&items.first[..], items.count), (&["1", "1"][..], 100_001));
        assert!(Items::of("{}", 2).is_none() && Members::read("[]", &[]).is_none());
    }
}

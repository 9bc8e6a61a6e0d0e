//! JSON objects from the service, with the order of their fields and the exact text of their
//! values.
//!
//! A field that a newer service adds is shown too, and a number with 30 digits stays one.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// An object, field by field.
#[derive(Debug)]
pub(super) struct Object(Vec<(String, Box<RawValue>)>);

impl Object {
    /// The text of a field, without the quotes of a string; `None` if it is missing or null.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let (_, value) = self.0.iter().find(|(field, _)| field == name)?;
        (value.get() != "null").then(|| plain(value))
    }

    /// A field for a table.
    pub(super) fn cell(&self, name: &str) -> String {
        self.text(name).unwrap_or_else(|| "-".to_owned())
    }

    /// A field, if it is a list of texts.
    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        let field = self.0.iter().find(|(field, _)| field == name);
        let texts = field
            .and_then(|(_, value)| serde_json::from_str::<Vec<Box<RawValue>>>(value.get()).ok());
        texts.unwrap_or_default().iter().map(|text| plain(text)).collect()
    }

    /// A field, if it is a list of objects.
    pub(super) fn objects(&self, name: &str) -> Vec<Self> {
        let field = self.0.iter().find(|(field, _)| field == name);
        field.and_then(|(_, value)| serde_json::from_str(value.get()).ok()).unwrap_or_default()
    }

    /// The text of a field by its place: `counts.queued` lies in an object.
    pub(super) fn at(&self, place: &str) -> Option<String> {
        let Some((name, rest)) = place.split_once('.') else { return self.text(place) };
        let (_, inner) = self.0.iter().find(|(field, _)| field == name)?;
        serde_json::from_str::<Self>(inner.get()).ok()?.at(rest)
    }

    /// Names and texts of all fields that have a value.
    pub(super) fn fields(&self) -> Vec<(String, String)> {
        let given = self.0.iter().filter(|(_, value)| value.get() != "null");
        given.map(|(name, value)| (name.clone(), plain(value))).collect()
    }
}

fn plain(value: &RawValue) -> String {
    serde_json::from_str::<String>(value.get()).unwrap_or_else(|_| value.get().to_owned())
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Object, M::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// One page of a listing.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Page {
    /// The items, each as it came.
    pub(super) data: Vec<Box<RawValue>>,
    /// The cursor of the next page; none if this was the last.
    #[serde(default)]
    pub(super) next_cursor: Option<String>,
}

impl Page {
    /// Reads a page, or a bare list, which is a page without a next one.
    pub(super) fn parse(text: &str) -> serde_json::Result<Self> {
        if text.trim_start().starts_with('[') {
            return Ok(Self { data: serde_json::from_str(text)?, next_cursor: None });
        }
        serde_json::from_str(text)
    }

    /// The items as objects.
    pub(super) fn objects(&self) -> serde_json::Result<Vec<Object>> {
        self.data.iter().map(|item| serde_json::from_str(item.get())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_numbers_are_kept() {
        let text = r#"{"b": 12345678901234567890123, "a": "x\ny", "n": null, "o": {"c": 1.10}}"#;
        let object: Object = serde_json::from_str(text).unwrap();
        let fields = object.fields().into_iter();
        let pairs: Vec<_> = fields.map(|(name, text)| format!("{name}={text}")).collect();
        assert_eq!(pairs, ["b=12345678901234567890123", "a=x\ny", r#"o={"c": 1.10}"#]);
        assert_eq!(object.at("o.c").as_deref(), Some("1.10"));
        assert_eq!((object.at("n"), object.at("a.c"), object.at("z.c")), (None, None, None));
        assert_eq!((object.cell("n").as_str(), object.cell("z").as_str()), ("-", "-"));
    }

    #[test]
    fn warnings_are_a_list_of_texts() {
        let object: Object = serde_json::from_str(r#"{"w": ["a", "b"], "x": 1}"#).unwrap();
        assert_eq!(object.texts("w"), ["a", "b"]);
        assert!(object.texts("x").is_empty());
        let object: Object =
            serde_json::from_str(r#"{"l": [{"c": 1}, {"c": 2}], "x": 1}"#).unwrap();
        let found: Vec<_> = object.objects("l").iter().map(|it| it.cell("c")).collect();
        assert_eq!((found.join(","), object.objects("x").len()), ("1,2".to_owned(), 0));
    }

    #[test]
    fn a_bare_list_is_a_page() {
        for text in [r#"{"data": [{"a": 1}], "next_cursor": null}"#, r#" [{"a": 1}]"#] {
            let page = Page::parse(text).unwrap();
            assert_eq!(page.objects().unwrap()[0].cell("a"), "1");
            assert!(page.next_cursor.is_none());
        }
        assert!(Page::parse(r#"{"items": []}"#).is_err());
    }
}

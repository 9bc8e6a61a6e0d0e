use proptest::prelude::*;

use super::*;

fn check(text: &[u8]) -> Result<(), JsonFault> {
    checked(text).map(drop)
}

fn fault(text: &[u8]) -> JsonFault {
    check(text).expect_err(&String::from_utf8_lossy(text))
}

#[test]
fn keeps_the_text() {
    let text = r#" {"n":123456789012345678901234567890,"x":1.10,"é":"🎉\ud83c\udf89"} "#;
    let json = Json::parse(text.as_bytes()).unwrap();
    assert_eq!(json.as_str(), text.trim());
    assert_eq!(serde_json::to_string(&[&json]).unwrap(), format!("[{}]", text.trim()));
    assert_eq!(serde_json::from_str::<Vec<Json>>(&format!("[{text}]")).unwrap(), [json]);
}

#[test]
fn serialises_under_the_same_limits() {
    assert_eq!(Json::from_serialize(&("a", 1)).unwrap().as_str(), r#"["a",1]"#);
    assert_eq!(Json::from_serialize("a\0b").unwrap_err().code, "nul_character");
    assert_eq!(Json::null().to::<Option<u8>>().unwrap(), None);
}

#[test]
fn names_what_is_wrong_and_where() {
    let deep = |n: usize| format!("{}1{}", "[".repeat(n), "]".repeat(n));
    assert!(check(deep(64).as_bytes()).is_ok());
    assert!(checked_within(deep(65).as_bytes(), 65).is_ok());
    let found = fault(deep(65).as_bytes());
    assert_eq!((found.code, found.offset, found.pointer), ("too_deep", 64, "/0".repeat(64)));
    let cases: &[(&[u8], &str, usize, &str)] = &[
        (b"\xEF\xBB\xBF{}", "byte_order_mark", 0, ""),
        (b"\xFF\xFE{\0}\0", "invalid_utf8", 0, ""),
        (b"{\"a\":[1,\"\xC3\x28\"]}", "invalid_utf8", 9, "/a/1"),
        (b"\"\xED\xA0\x80\"", "invalid_utf8", 1, ""),
        (br#"{"a":{"b/c~":"x\u0000"}}"#, "nul_character", 15, "/a/b~1c~0"),
        (b"[1,\"a\0\"]", "nul_character", 5, "/1"),
        (br#"{"ok":1,"s":"\ud800"}"#, "lone_surrogate", 13, "/s"),
        (br#""\udc00""#, "lone_surrogate", 1, ""),
        (br#""\ud800\u0041""#, "lone_surrogate", 1, ""),
        (br#""\ud800\ud800""#, "lone_surrogate", 1, ""),
        (b"[0,1e400000]", "number_out_of_range", 3, "/1"),
        (b"1e1400", "number_out_of_range", 0, ""),
        (b"-0e-1399", "number_out_of_range", 0, ""),
        (b"1e-99999999999999999999", "number_out_of_range", 0, ""),
        (b"{} {}", "trailing_data", 3, ""),
        (b"nullx", "trailing_data", 4, ""),
        (b"", "invalid_json", 0, ""),
        (b" ", "invalid_json", 1, ""),
        (b"{\"a\":1,}", "invalid_json", 7, ""),
        (b"{\"a\" 1}", "invalid_json", 5, "/a"),
        (b"[1,]", "invalid_json", 3, "/1"),
        (b"[1", "invalid_json", 2, "/0"),
        (b"{\"a\":{\"b\":\"c", "invalid_json", 12, "/a/b"),
        (b"[1}", "invalid_json", 2, "/0"),
        (b"{\"a\":1]", "invalid_json", 6, "/a"),
        (b"\"\t\"", "invalid_json", 1, ""),
        (br#""\x""#, "invalid_json", 2, ""),
        (br#""\u00g0""#, "invalid_json", 5, ""),
        (br#""\u12"#, "invalid_json", 5, ""),
        (b"NaN", "invalid_json", 0, ""),
        (b"'a'", "invalid_json", 0, ""),
        (b"nul", "invalid_json", 3, ""),
        (b"01", "trailing_data", 1, ""),
        (b"1.", "invalid_json", 2, ""),
        (b"-", "invalid_json", 1, ""),
        (b"+1", "invalid_json", 0, ""),
        (b"1e", "invalid_json", 2, ""),
        (b"[1 2]", "invalid_json", 3, "/0"),
        (b"{1:2}", "invalid_json", 1, ""),
    ];
    for (text, code, offset, pointer) in cases {
        let found = fault(text);
        let shown = String::from_utf8_lossy(text);
        assert_eq!(
            (found.code, found.offset, &*found.pointer),
            (*code, *offset, *pointer),
            "{shown}"
        );
        assert!(found.message.len() > 20, "{shown}");
    }
}

#[test]
fn tells_how_long_a_value_is_when_it_is_written_out() {
    let cases = [
        (r#" { "a" : [ 1 , 2 ] } "#, 11),
        (r#"[1e3,-0,1.5e1,-0.0]"#, 15),
        (r#""\u00e9\u20ac\ud83d\ude00\/\u0041""#, 13),
        (r#""\u0001\u000a\n\"\\\u0022\u005c""#, 20),
        ("\"é\\t b\"", 8),
    ];
    for (text, written) in cases {
        assert_eq!(checked(text.as_bytes()).unwrap().written, written, "{text}");
        assert_eq!(Json::parse(text.as_bytes()).unwrap().written_bytes(), written, "{text}");
        assert_eq!(Json::trusted(text.trim()).unwrap().written_bytes(), written, "{text}");
    }
    let long = format!("[{}]", vec!["1e1399"; 1000].join(","));
    assert_eq!(checked(long.as_bytes()).unwrap().written, 1000 * 1401 + 1);
}

#[test]
fn bounds_numbers_and_pointers() {
    assert!(check("9".repeat(1400).as_bytes()).is_ok());
    assert_eq!(fault("9".repeat(1401).as_bytes()).code, "number_out_of_range");
    assert!(check(b"[-1.5e+401, 0.0E-401, -0, 1E1399, 0e99999]").is_ok());
    // A document that wraps a payload has other numbers, too, but none that PostgreSQL cannot keep.
    assert!(checked_within(b"[1e1400, 1e131071]", 2).is_ok());
    assert!(checked_within(b"[1e131072]", 2).is_err());
    let long = format!("{{\"a\":{{\"{}\":\"\\u0000\"}}}}", "k".repeat(2000));
    assert_eq!(fault(long.as_bytes()).pointer, "/a");
}

fn accepted_by_serde(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

proptest! {
    #[test]
    fn accepts_every_value_within_the_limits(value in value()) {
        for text in [serde_json::to_string(&value).unwrap(), serde_json::to_string_pretty(&value).unwrap()] {
            prop_assert_eq!(check(text.as_bytes()), Ok(()));
            let kept = Json::parse(text.as_bytes()).unwrap();
            prop_assert_eq!(kept.as_str(), &text);
        }
    }

    /// Near-JSON from its own alphabet. A text that is accepted here is accepted by serde_json. A
    /// text that only we refuse has a fault that serde_json does not know.
    #[test]
    fn agrees_with_serde_json_on_grammar(text in r#"[\[\]{}:,"\\/ \n0-9eE.+\-ubnrtfalsD8C]{0,24}"#) {
        let found = check(text.as_bytes());
        match &found {
            Ok(()) => prop_assert!(accepted_by_serde(&text)),
            Err(fault) if fault.is_syntax() => prop_assert!(!accepted_by_serde(&text), "{:?}", fault),
            Err(_) => {}
        }
    }

    #[test]
    fn survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        if check(&bytes).is_ok() {
            prop_assert!(accepted_by_serde(std::str::from_utf8(&bytes).unwrap()));
        }
    }
}

fn value() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let text = "[^\0]{0,20}";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e300..1e300).prop_map(|x: f64| Value::from(x)),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 40, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(text, inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

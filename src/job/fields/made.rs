//! The table as people read it.

use super::{FIELDS, Field, Kind, Literal, QUEUE_FIELDS};
use crate::made;

/// The row of a field, and those of its members.
fn rows(field: &Field) -> String {
    let members = if let Kind::Object { members, .. } = field.kind { members } else { &[] };
    let members =
        members.iter().map(|member| row(&format!("{}.{}", field.name, member.name), member));
    row(field.name, field) + &members.collect::<String>()
}

fn row(name: &str, field: &Field) -> String {
    let default = match field.default {
        Some(Literal::Text(text)) => format!("`{text}`"),
        Some(Literal::Nothing) => "none".to_owned(),
        None if field.required => "required".to_owned(),
        None => String::new(),
    };
    format!("| `{name}` | {} | {default} | {} |\n", field.kind.rule(), field.about)
}

#[test]
fn the_readme_lists_the_fields() {
    let rows: String = FIELDS.iter().map(rows).collect();
    let table =
        format!("| field | takes | without it | what it is for |\n|---|---|---|---|\n{rows}");
    made::holds("docs/submitting.md", "fields", &table);
}

#[test]
fn the_documentation_lists_the_settings_of_a_queue() {
    let row =
        |field: &Field| format!("| `{}` | {} | {} |\n", field.name, field.kind.rule(), field.about);
    let rows: String = QUEUE_FIELDS.iter().map(row).collect();
    let table = format!("| setting | takes | what it is for |\n|---|---|---|\n{rows}");
    made::holds("docs/queues.md", "settings", &table);
}

#[test]
fn each_field_is_declared_as_the_doors_need_it() {
    for field in FIELDS {
        let name = field.name;
        assert!(field.about.ends_with('.') && field.sentence().ends_with('.'), "{name}");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        // Generated clients send defaults.
        assert!(field.default.is_none() || field.together.is_none(), "{name}");
    }
}

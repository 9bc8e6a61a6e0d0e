//! The checks of the SQL door, made from the table of fields: blocks of the functions in
//! `sql/functions`.

use crate::job::fields::{FIELDS, Field, Kind, NAMES, Together};
use crate::made;

/// Fields that `job_is_sound` looks at before all others, since most jobs have no more.
const LOOKED_AT_FIRST: [&str; 3] = ["payload", "task", "queue"];

#[test]
fn the_sql_door_has_the_rules_of_the_table() {
    let rules: Vec<String> = FIELDS.iter().map(rule).collect();
    made::holds("sql/functions/submission_fields.sql", "rules", &rules.join(",\n"));
}

#[test]
fn the_sql_door_knows_the_fields_of_the_table() {
    let sound = FIELDS.iter().filter(|field| !LOOKED_AT_FIRST.contains(&field.name)).map(sound);
    made::holds("sql/functions/job_is_sound.sql", "sound", &sound.collect::<String>());
    let names: Vec<String> = NAMES.iter().map(|name| format!("      {}", text(name))).collect();
    made::holds("sql/functions/job_is_sound.sql", "names", &names.join(",\n"));
}

#[test]
fn the_sql_door_keeps_the_settings_of_the_table() {
    let settings: Vec<&Field> = FIELDS.iter().filter(|field| field.is_setting).collect();
    let names: Vec<&str> = settings.iter().map(|field| field.name).collect();
    let members: String = settings.into_iter().map(member).collect();
    let expression = match &names[..] {
        [] => "null::jsonb".to_owned(),
        names => {
            let names = words(names);
            format!("case when job ?| {names} then nullif('{{}}'::jsonb\n{members}  , '{{}}') end")
        }
    };
    let block = format!("  select {expression}");
    made::holds("sql/functions/job_settings.sql", "settings", &block);
}

/// A setting that is given, as the object of its name and its value.
fn member(field: &Field) -> String {
    let name = text(field.name);
    let value = match field.kind {
        // One spelling of each value, as the other doors have it.
        Kind::Integer { .. } => format!("(job ->> {name})::numeric::bigint"),
        Kind::Seconds { .. } => format!("(job ->> {name})::double precision"),
        Kind::Time => format!("reveille.moment(job ->> {name})"),
        Kind::Json
        | Kind::Name { .. }
        | Kind::Text { .. }
        | Kind::Choice { .. }
        | Kind::Texts { .. } => format!("job -> {name}"),
    };
    format!(
        "    || case when job ->> {name} is null then '{{}}'\n      else jsonb_build_object({name}, {value}) end\n"
    )
}

fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn words(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| text(word)).collect();
    format!("array[{}]", words.join(", "))
}

/// A row of `submission_fields`.
fn rule(field: &Field) -> String {
    let none = || "null".to_owned();
    let (mut least, mut most, mut longest, mut list) = (none(), none(), none(), none());
    let kind = match &field.kind {
        Kind::Json => "json",
        Kind::Name { pattern, .. } => {
            list = words(&[pattern]);
            "name"
        }
        Kind::Text { least: from, most: to } => {
            (least, most) = (from.to_string(), to.to_string());
            "text"
        }
        Kind::Choice { of, .. } => {
            list = words(of);
            "choice"
        }
        Kind::Integer { least: from, most: to } => {
            (least, most) = (from.to_string(), to.to_string());
            "integer"
        }
        Kind::Seconds { least: from, most: to } => {
            (least, most) = (from.to_string(), to.to_string());
            "number"
        }
        Kind::Time => "time",
        Kind::Texts { most: to, longest: of } => {
            (most, longest) = (to.to_string(), of.to_string());
            "list"
        }
    };
    let (apart, beside) = match field.together {
        None => (none(), none()),
        Some(Together::NotWith(other)) => (text(other), none()),
        Some(Together::OnlyWith(other)) => (none(), text(other)),
    };
    let (name, rule) = (text(field.name), text(&field.kind.rule()));
    format!(
        "    ({name}, '{kind}', {least}, {most}, {longest}, {list},\n      {rule}, {apart}, {beside})"
    )
}

/// Expressions of `job_is_sound`, each true where the field may have a fault.
fn sound(field: &Field) -> String {
    let name = text(field.name);
    let (value, written) = (format!("job -> {name}"), format!("job ->> {name}"));
    let not_text = format!("not reveille.text_is_sound({value})");
    let mut faults = match &field.kind {
        Kind::Json => vec![],
        Kind::Name { pattern, .. } => {
            vec![not_text, format!("{written} !~ {}", text(pattern))]
        }
        Kind::Text { least, most } => {
            vec![not_text, format!("not length({written}) between {least} and {most}")]
        }
        Kind::Choice { of, .. } => {
            vec![not_text, format!("{written} <> all ({})", words(of))]
        }
        Kind::Integer { least, most } => {
            vec![format!("not reveille.integer_is_sound({value}, {least}, {most})")]
        }
        Kind::Seconds { least, most } => {
            vec![format!("not reveille.number_is_sound({value}, {least}, {most})")]
        }
        Kind::Time => vec![not_text],
        Kind::Texts { most, longest } => {
            vec![format!("not reveille.texts_are_sound({value}, {most}, {longest})")]
        }
    };
    faults.extend(field.together.map(|rule| match rule {
        Together::NotWith(other) => {
            format!("{written} is not null and job ->> {} is not null", text(other))
        }
        Together::OnlyWith(other) => {
            format!("{written} is not null and job ->> {} is null", text(other))
        }
    }));
    faults.iter().map(|fault| format!("      or {fault}\n")).collect()
}
